"""docs/reference/commands.md: the subcommands of ``manage.py live`` with their arguments, and the exit codes."""

from __future__ import annotations

import argparse
import textwrap

from live.commands.base import Exit
from live.management.commands.live import EXIT_CODES, SUBCOMMANDS, Command
from project.reference.text import code, line, page, table

INTRO = """
[Commands](../commands.md) explains them; here is every argument. All take Django's own options too (`--settings`,
`--verbosity`, `--no-color` ...), and `--help`.
"""


def commands_page() -> str:
    """The page."""
    parser = Command().create_parser("manage.py", "live")
    (action,) = (each for each in parser._actions if isinstance(each, argparse._SubParsersAction))
    parts = [_subcommand(name, action.choices[name]) for name in SUBCOMMANDS]
    return page("manage.py live", INTRO, *parts, "## Exit codes", _exit_codes())


def _subcommand(name: str, parser: argparse.ArgumentParser) -> str:
    given = SUBCOMMANDS[name]
    # Those that every subcommand has are Django's.
    probe = argparse.ArgumentParser(add_help=False)
    given.add_arguments(probe)
    rows = [[code(_usage(action)), _help(action)] for action in probe._actions]
    examples, _, more = given.examples.removeprefix("examples:\n").partition("\n\n")
    parts = [
        f"## `{name}`",
        f"{given.help[0].upper()}{given.help[1:]}.",
        table(["argument", "what"], rows),
        f"```text\n{textwrap.dedent(examples)}\n```",
        more,
    ]
    return "\n\n".join(part for part in parts if part)


def _usage(action: argparse.Action) -> str:
    metavar = action.metavar or (action.dest.upper() if action.option_strings else action.dest)
    value = metavar if isinstance(metavar, str) else " ".join(metavar)
    if action.choices is not None and not action.metavar:
        value = "{" + ",".join(map(str, action.choices)) + "}"
    if not action.option_strings:
        return {"*": f"[{value} ...]", "+": f"{value} ...", "?": f"[{value}]"}.get(str(action.nargs), value)
    names = ", ".join(action.option_strings)
    return names if action.nargs == 0 else f"{names} {value}"


def _help(action: argparse.Action) -> str:
    return line((action.help or "") % {**vars(action), "prog": "manage.py live"})


def _exit_codes() -> str:
    said = dict(text.split(None, 1) for text in EXIT_CODES.splitlines()[1:])
    return table(["code", "when"], [[str(int(each)), said[str(int(each))]] for each in Exit])
