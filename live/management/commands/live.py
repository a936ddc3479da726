"""``manage.py live``: push, publish, listen, list, and make tokens, from a shell (docs/commands.md)."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from live.commands.base import Console, Exit, Subcommand
from live.commands.channels import ChannelsCommand
from live.commands.doctor import Doctor
from live.commands.listen import Listen
from live.commands.publish import PublishCommand
from live.commands.push import Push
from live.commands.token import TokenCommand
from live.exceptions import LiveError

SUBCOMMANDS: dict[str, Subcommand] = {
    subcommand.name: subcommand
    for subcommand in (Push(), PublishCommand(), Listen(), ChannelsCommand(), TokenCommand(), Doctor())
}

EXIT_CODES = """\
exit codes:
  0    done
  1    wrong input, or the site said no: trying again does not help
  2    wrong usage
  3    the site cannot be reached now, after all the tries
  130  interrupted with Ctrl-C
  141  whoever read the output went away, as `head` does"""


class Command(BaseCommand):
    """Finds the subcommand, and turns how it ends into an exit code."""

    help = "Real-time from the shell: push metrics, publish, listen, list channels, make tokens."
    # A command of a pipe starts fast; `manage.py check` is there for the rest.
    requires_system_checks = []

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """The parser, whose help ends with the exit codes, in lines as they stand here."""
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.epilog = EXIT_CODES
        parser.formatter_class = argparse.RawDescriptionHelpFormatter
        return parser

    def add_arguments(self, parser: CommandParser) -> None:
        """One parser a subcommand."""
        parsers = parser.add_subparsers(dest="subcommand", metavar="SUBCOMMAND", required=True)
        for name, subcommand in SUBCOMMANDS.items():
            own = parsers.add_parser(
                name,
                help=subcommand.help,
                description=f"{subcommand.help[0].upper()}{subcommand.help[1:]}.",
                epilog=f"{subcommand.examples}\n\n{EXIT_CODES}",
                formatter_class=argparse.RawDescriptionHelpFormatter,
            )
            subcommand.add_arguments(own)
            _add_common(own)

    def handle(self, *args: Any, **options: Any) -> None:
        """Runs the subcommand."""
        console = Console(self.stdout, self.stderr, options["verbosity"])
        try:
            SUBCOMMANDS[options["subcommand"]].run(options, console)
            self.stdout.flush()
        except LiveError as error:
            code = Exit.UNAVAILABLE if error.temporary else Exit.REFUSED
            raise CommandError(error.message, returncode=code) from error
        except KeyboardInterrupt:
            raise SystemExit(Exit.INTERRUPTED) from None
        except BrokenPipeError:
            _close_output()
            raise SystemExit(Exit.BROKEN_PIPE) from None


def _add_common(parser: argparse.ArgumentParser) -> None:
    """Django's options after the subcommand as well; before it they are anyway."""
    hidden: dict[str, Any] = {"default": argparse.SUPPRESS, "help": argparse.SUPPRESS}
    for option in ("--settings", "--pythonpath"):
        parser.add_argument(option, **hidden)
    for option in ("--traceback", "--no-color", "--force-color"):
        parser.add_argument(option, action="store_true", **hidden)
    parser.add_argument("-v", "--verbosity", type=int, choices=range(4), **{**hidden, "help": "0: only results"})


def _close_output() -> None:
    # Python would write what is left once more when it ends, and complain.
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
