"""The commands of a block of shell, without running it: what is read is checked by programs.py."""

import re
import shlex
from dataclasses import dataclass, field

SEPARATORS = {"|", ";", "&&", "||", "&"}
ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=.*", re.DOTALL)
INNER = re.compile(r"\$\(([^()]*)\)")
VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


@dataclass
class Command:
    """A program and its arguments, with what is assigned for it alone; without words the assignments stay."""

    words: list[str] = field(default_factory=list)
    assigned: dict[str, str] = field(default_factory=dict)
    before: "Command | None" = None
    """Whose output it reads."""


def commands(text):
    """The commands in their order; those of ``$(...)`` come before the one that they stand in."""
    for line in text.replace("\\\n", " ").splitlines():
        for inner in INNER.findall(line):
            yield from _commands(inner)
        # What it prints is not known here.
        yield from _commands(INNER.sub("printed", line))


def _commands(line):
    reader = shlex.shlex(line, posix=True, punctuation_chars="|;&")
    reader.commenters = "#"
    reader.whitespace_split = True
    words, before = [], None
    for word in [*reader, ";"]:
        if word not in SEPARATORS:
            words.append(word)
        elif words:
            command = _command(words)
            command.before = before
            yield command
            words, before = [], command if word == "|" else None


def _command(words):
    words = words[1:] if words[0] == "export" else words
    count = next((number for number, word in enumerate(words) if not ASSIGNMENT.fullmatch(word)), len(words))
    return Command(words[count:], dict(word.split("=", 1) for word in words[:count]))


def expand(word, variables):
    """The word with the values of its variables; one that was set nowhere is an error."""

    def value(found):
        name = found[1] or found[2]
        assert name in variables, f"${name} is set nowhere"
        return variables[name]

    return VARIABLE.sub(value, word)
