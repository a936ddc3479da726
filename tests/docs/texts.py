"""Blocks that are only text: each is one of a few that are compared with what they show."""

import re

from live.commands.base import Console
from live.commands.doctor.finding import Finding, Level
from live.commands.doctor.machine import Machine
from live.commands.doctor.refusals import explain_refusal
from live.commands.doctor.report import TextReport
from live.commands.doctor.wire import Answer
from tests.docs.pages import ROOT


def check_text(block, reader):
    """What a text is, its first line tells."""
    known = [check for pattern, check in TEXTS if pattern.fullmatch(block.first)]
    assert known, "no check knows what this is"
    known[0](block.text, reader)


def push(text, reader):
    """Lines that can be pushed: the site refuses others, and then this fails."""
    reader.site.push("texts", text)


def sums(text, reader):
    """What stands behind the sign is what the sum is, as far as its digits go."""
    for line in text.splitlines():
        found = SUM.fullmatch(line)
        assert found, line
        left, right = (part.replace(",", "") for part in found.groups())
        assert f"{eval(left):.{len(right.partition('.')[2])}f}" == right, line


def doctor(text, reader):
    """What `doctor` prints where a kernel and a proxy are as these; dots stand for more."""
    printed = []

    class Stream:
        def write(self, line, *style):
            printed.append(line)

        def flush(self):
            pass

    limit, clients = re.search(r"(\d+) for ([\d,]+) clients", text).groups()
    kernel = reader.folder / "sys/net/core/somaxconn"
    kernel.parent.mkdir(parents=True)
    kernel.write_text(f"{limit}\n")
    machine = Machine(int(clients.replace(",", "")), [], own_files=None, proc=reader.folder)
    answer = explain_refusal(Answer(404, "Not Found", {}), lives=True)
    report = TextReport(Console(Stream(), Stream()), lambda level, word: word)
    report.add(*machine.somaxconn())
    report.add(Finding("site-websocket", Level.ERROR, answer.found, answer.why, answer.fix))
    for shown, real in zip(text.splitlines(), printed, strict=True):
        start, dots, _ = shown.partition("…")
        assert real.startswith(start) if dots else real == shown


def content_policy(text, reader):
    """The directives of the policy under which the pages of tests/browser/test_embedding.py work."""
    policy = (ROOT / "tests/embedding_site/urls.py").read_text()
    for line in text.splitlines():
        name, *sources = line.partition("  ")[0].split()
        assert f"{name} " in policy
        assert "'self'" in sources


def fronts(text, reader):
    """Every front that it shows has a file."""
    line = text.partition("\n")[0]
    names = re.findall(r"\w+", re.search(r"► (.*?) ──►", line)[1])
    files = " ".join(path.name.lower() for path in (ROOT / "deploy").rglob("*"))
    assert names
    assert all(name.lower() in files for name in names)


SUM = re.compile(r".+?  +([\d,.]+(?: [*/+-] [\d,.]+)+) = ([\d,.]*\d)(?:,? .*)?")

TEXTS = [
    (re.compile(r"(ok|warning|error) +[a-z-]+  .*"), doctor),
    (re.compile(r"[a-z]+-src .*"), content_policy),
    (re.compile(r".* ──► .*"), fronts),
    (re.compile(r"\w+(,\w+=\w+)* \w+=\S+( \d+)?"), push),
    (SUM, sums),
]
