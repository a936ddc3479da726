"""Every block of code of every page: it is run, or sent, or parsed by what would read it, and asserted to be so.

A page is read from its beginning, as its blocks build on each other. A block of a language, a program or a file format
that no check knows is an error: give it a check, in the module that has its kind.
"""

import re

import pytest

from tests.docs import data, markup, python, texts
from tests.docs.markdown import code_blocks
from tests.docs.pages import PROSE, WHOLE_ELSEWHERE, name_of, own_test
from tests.docs.programs import check_shell
from tests.docs.reader import Reader

# Up to a dozen commands one after the other; how long they take on a busy machine is not what is tested.
pytestmark = pytest.mark.timeout(180)

KINDS = {
    "sh": check_shell,
    "json": data.check_json,
    "toml": data.check_toml,
    "yaml": data.check_yaml,
    "html": markup.check_html,
    "js": markup.check_js,
    "ts": markup.check_ts,
    "css": markup.check_css,
    "text": texts.check_text,
}
"""The check of each language but Python, whose blocks make one namespace."""

DIRECTIVES = {"{toctree}", "{include}"}
"""What Sphinx reads, whose warnings are errors in `make test`."""

READ_HERE = [path for path in PROSE if name_of(path) not in WHOLE_ELSEWHERE]


@pytest.fixture
def reader(site, tmp_path):
    """Somebody with a token, who has it in the variables that the pages call it by."""
    return Reader(site, tmp_path, {"LIVE_TOKEN": site.token, "TOKEN": site.token})


def check(block, reader):
    """Fails where something is wrong with a block that is no Python."""
    assert block.fenced, "it is indented only, and does not say in which language it is"
    assert block.language in KINDS, f"no check knows {block.language!r}"
    KINDS[block.language](block, reader)


@pytest.mark.parametrize("path", READ_HERE, ids=name_of)
def test_the_blocks_of_a_page(path, reader):
    for block in code_blocks(path.read_text()):
        try:
            if block.language not in {"python", *DIRECTIVES}:
                check(block, reader)
        except BaseException as error:
            error.add_note(f"in the block at {name_of(path)}:{block.line}, {block.first!r}")
            raise


@pytest.mark.parametrize("path", [path for path in READ_HERE if own_test(path) is None], ids=name_of)
def test_the_python_of_a_page(path):
    """Of pages without a test of their own: it runs, and what it shows of settings is sound."""
    with python.running(name_of(path)):
        pass


@pytest.mark.parametrize("path", [path for path in PROSE if own_test(path) is not None], ids=name_of)
def test_other_tests_run_the_others(path):
    test = own_test(path).read_text()
    assert path.name in test
    python_there = any(block.language == "python" for block in code_blocks(path.read_text()))
    assert not python_there or path not in READ_HERE or re.search(r"\b(exec|running|write|write_text)\(", test)
