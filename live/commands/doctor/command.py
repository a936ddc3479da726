"""``manage.py live doctor``: its arguments, its output, its exit code."""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from django.core.management.base import CommandError
from django.core.management.color import color_style, no_style, supports_color

from live.commands.base import DEFAULT_URL, Console, Exit, Subcommand
from live.commands.doctor.finding import Level, make_loop
from live.commands.doctor.report import JsonReport, Report, TextReport
from live.commands.site import Site


class Doctor(Subcommand):
    """Says what stands between this set-up and many clients; changes nothing."""

    name = "doctor"
    help = "look for what would go wrong, and say what helps"
    examples = """\
examples:
  manage.py live doctor
  manage.py live doctor --url https://live.example.com
  manage.py live doctor --json | jq '.[] | select(.level != "ok")'

Each finding is ok, a warning or an error, with why it matters and what to do. The exit code is 1 when one is an error.
--url opens a WebSocket as a browser does, through whatever proxies there are; it needs no login and sends no secret."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Its arguments."""
        parser.add_argument(
            "--url", metavar="URL", help=f"look at the site that runs there as well, e.g. {DEFAULT_URL}"
        )
        parser.add_argument(
            "--origin", default="", metavar="ORIGIN", help="where the pages come from, if from another host than --url"
        )
        parser.add_argument("--json", action="store_true", help="one JSON list of {check, level, found, why, fix}")

    def run(self, options: dict[str, Any], console: Console) -> None:
        """Prints the findings; exits with 1 when one is an error."""
        # The checks need much that the other subcommands, which load this one too, do not.
        from live.commands.doctor.examine import examine

        site = _site(options["url"], console) if options["url"] else None
        if options["origin"] and site is None:
            raise CommandError("--origin needs --url", returncode=Exit.USAGE)
        report: Report = JsonReport(console) if options["json"] else TextReport(console, _painter(options))
        with asyncio.Runner(loop_factory=make_loop) as runner:
            runner.run(examine(site, options["origin"], report))
        report.end()
        if site is None:
            console.note(f"hint: --url {DEFAULT_URL} looks at a running site as well, through its proxies")
        if report.levels[Level.ERROR]:
            raise SystemExit(Exit.REFUSED)


def _site(url: str, console: Console) -> Site:
    try:
        # A token for the look of it: none is sent, and that of the environment need not be a sound one.
        return Site(url, console, token="none")  # noqa: S106
    except CommandError:
        # Without the text, which may hold a password.
        raise CommandError(f"--url is no URL of a site; one is {DEFAULT_URL}", returncode=Exit.USAGE) from None


def _painter(options: dict[str, Any]) -> Any:
    """What colours a text by its level; Django's own rules say whether."""
    coloured = options.get("force_color") or (supports_color() and not options.get("no_color"))
    style = color_style(force_color=True) if coloured else no_style()
    paints = {Level.OK: style.SUCCESS, Level.WARNING: style.WARNING, Level.ERROR: style.ERROR}
    return lambda level, text: paints[level](text)
