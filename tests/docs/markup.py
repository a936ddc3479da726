"""Blocks of HTML, JavaScript, TypeScript and CSS: they parse, and what they name is there."""

import re
import shutil
import subprocess
from html.parser import HTMLParser

from django.template import engines

from tests.docs.pages import ROOT

STATIC = ROOT / "live/static/live"
FROM_LIVE = re.compile(r'import \{([^}]*)\} from "/static/live/(\w+)\.js"')
EXPORTED = re.compile(
    r"^export (?:declare )?(?:async )?(?:function|class|const|interface|type) (\w+)|^export \{(.*?)\}", re.MULTILINE
)


class Elements(HTMLParser):
    """Fails where an element is not closed; keeps the scripts that are modules."""

    VOID = {"meta", "link", "input", "img", "br"}

    def __init__(self, text):
        super().__init__()
        self.open, self.modules, self.in_module = [], [], False
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)
        self.in_module = tag == "script" and ("type", "module") in attrs
        if self.in_module:
            self.modules.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes nothing"
        self.in_module = False

    def handle_data(self, data):
        if self.in_module:
            self.modules[-1] += data


def check_html(block, reader):
    """A template: rendered, its elements closed, its scripts sound."""
    context = {"report": {"slug": "sales"}}
    for module in Elements(engines["django"].from_string(block.text).render(context)).modules:
        check_module(module)


def check_module(text):
    """A module: its syntax, and what it imports from `live`."""
    check_imports(text, "{}.js")
    node = shutil.which("node")
    assert node, "node is not on PATH"
    command = [node, "--input-type=module", "--check", "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr


def check_imports(text, file):
    """What is imported from `live` is exported there; the number of such imports."""
    found = FROM_LIVE.findall(text)
    for names, source in found:
        exported = {
            name.strip()
            for one, group in EXPORTED.findall((STATIC / file.format(source)).read_text())
            for name in (one, *group.split(","))
        }
        assert {name.strip().removeprefix("type ") for name in names.split(",")} <= exported
    return len(found)


def check_js(block, reader):
    """A module."""
    check_module(block.text)


def check_ts(block, reader):
    """What it imports is declared; the compiler reads it where docs/embedding.md is tested."""
    assert check_imports(block.text, "{}.d.ts")


def check_css(block, reader):
    """Rules with properties of the elements' style, for the elements that there are."""
    rules = re.findall(r"([^{}]+)\{([^{}]*)\}", block.text)
    assert "".join(f"{selector}{{{body}}}" for selector, body in rules).strip() == block.text.strip()
    known = set(re.findall(r"var\((--live-[\w-]+)", (STATIC / "style.js").read_text()))
    for selector, body in rules:
        assert re.match(r"live-(panel|value)\b", selector.strip())
        for name, value in (line.split(":", 1) for line in body.split(";") if line.strip()):
            assert value.strip()
            assert not name.strip().startswith("--") or name.strip() in known, name
