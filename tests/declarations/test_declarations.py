"""The TypeScript declarations beside the scripts: against a user's code, the scripts, and docs/embedding.md."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
STATIC = ROOT / "live" / "static" / "live"
PAGE = (ROOT / "docs" / "embedding.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
NAMES = sorted(path.name.removesuffix(".d.ts") for path in STATIC.glob("*.d.ts"))

# The compiler works for seconds, on a busy machine for many.
pytestmark = pytest.mark.timeout(150)

# Where a set-up without Node.js puts the one it brings.
PATH = f"{os.environ.get('PATH', os.defpath)}{os.pathsep}{Path(sys.executable).parent}"


def blocks(language):
    """The page's blocks in that language."""
    return [text for kind, text in BLOCKS if kind == language]


def compile_all(folder, options, *files):
    """What the compiler has to say of these files of the folder: nothing, where they are right."""
    config = {"compilerOptions": {"target": "es2022", "types": [], "noEmit": True, **options}, "files": files}
    (folder / "tsconfig.json").write_text(json.dumps(config))
    tsc = ROOT / "node_modules" / "typescript" / "bin" / "tsc"
    assert tsc.exists(), "run `npm ci` first: the compiler is missing"
    node = shutil.which("node", path=PATH)
    assert node, "Node.js is missing"
    command = [node, tsc, "--project", folder, "--pretty", "false"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=140)
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def advised():
    """The options that the page advises, for this checkout in place of an installed package."""
    (text,) = blocks("json")
    options = json.loads(text)["compilerOptions"]
    assert options["strict"] is True
    (place,) = options["paths"]["/static/live/*"]
    assert place.endswith("/site-packages/live/static/live/*")
    return {**options, "paths": {"/static/live/*": [f"{STATIC}/*"]}}


def test_a_user_s_code_is_accepted_and_what_is_wrong_in_it_refused(advised, tmp_path):
    shutil.copy(HERE / "use.ts", tmp_path)
    assert compile_all(tmp_path, advised, "use.ts") == ""


def test_the_typescript_of_the_page_is_right(advised, tmp_path):
    files = [f"block{number}.ts" for number, _ in enumerate(blocks("ts"))]
    for name, text in zip(files, blocks("ts"), strict=True):
        (tmp_path / name).write_text(text)
    assert files
    assert compile_all(tmp_path, advised, *files) == ""


def test_the_scripts_of_the_page_are_right(advised, tmp_path):
    """JavaScript has no types to be strict about; names, arguments and results are checked."""
    found = re.findall(r"<script type=\"module\">\n(.*?)</script>", "\n".join(blocks("html")), re.DOTALL)
    files = [f"script{number}.js" for number, _ in enumerate(found)]
    for name, text in zip(files, found, strict=True):
        (tmp_path / name).write_text(re.sub(r"\{% static '(.*?)' %\}", r"/static/\1", text))
    assert files
    options = {**advised, "strict": False, "allowJs": True, "checkJs": True}
    # The elements are there without an import: `{% live_script %}` loads them.
    assert compile_all(tmp_path, options, str(STATIC / "elements.d.ts"), *files) == ""


def test_the_declarations_are_what_the_scripts_are(advised, tmp_path):
    written = tmp_path / "written"
    shutil.copytree(STATIC, written, ignore=lambda folder, names: [name for name in names if name.endswith(".d.ts")])
    # The types of the npm package, in place of the bundle.
    shutil.rmtree(written / "vendor")
    (written / "vendor").mkdir()
    (written / "vendor" / "centrifuge.d.ts").write_text('export { Centrifuge } from "centrifuge";')
    package = ROOT / "node_modules" / "centrifuge" / "build" / "index.d.ts"
    paths = {**advised["paths"], "centrifuge": [str(package)]}
    shutil.copy(HERE / "same.ts", tmp_path)
    options = {**advised, "paths": paths, "noImplicitAny": False, "allowJs": True, "checkJs": False}
    assert compile_all(tmp_path, options, "same.ts") == ""


@pytest.mark.parametrize("name", NAMES)
def test_every_declared_name_is_used_and_every_script_compared(name):
    declared = re.findall(
        r"^export (?:interface|class|function|const|type) (\w+)", (STATIC / f"{name}.d.ts").read_text(), re.MULTILINE
    )
    use = (HERE / "use.ts").read_text()
    assert declared
    assert [each for each in declared if len(re.findall(rf"\b{each}\b", use)) < 2] == []
    assert f'"./written/{name}.js"' in (HERE / "same.ts").read_text()
