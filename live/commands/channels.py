"""``manage.py live channels``: the active channels."""

from __future__ import annotations

import argparse
from typing import Any
from urllib.parse import urlencode

import orjson

from live.commands.base import Console, Subcommand, add_site_arguments, refused, shares_store
from live.commands.site import Site
from live.protocol import dump_json
from live.publishing import active_channels, run

COLUMNS = ("CHANNEL", "MESSAGES/MIN", "SUBSCRIBERS", "FIELDS")


class ChannelsCommand(Subcommand):
    """Of this process's store, or with ``--url`` what the site lists for the token's user."""

    name = "channels"
    help = "list the active channels"
    examples = """\
examples:
  manage.py live channels --url http://127.0.0.1:8000
  manage.py live channels --url http://127.0.0.1:8000 --prefix stream/host/ --json | jq -r .channel"""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Its arguments."""
        parser.add_argument("--prefix", default="", metavar="TEXT", help="only channels whose name begins with TEXT")
        parser.add_argument("--json", action="store_true", help="one JSON object a line in place of the table")
        add_site_arguments(parser)

    def run(self, options: dict[str, Any], console: Console) -> None:
        """Prints them."""
        site = Site.of(options, console)
        entries = _here(options["prefix"]) if site is None else _there(site, options["prefix"])
        if options["json"]:
            for entry in entries:
                console.line(dump_json(entry).decode())
        else:
            for line in _table([COLUMNS, *map(_row, entries)]):
                console.line(line)
        if site is None and not shares_store():
            console.note(
                "hint: the store of these settings is this process's own memory; "
                "--url http://127.0.0.1:8000 asks a running site"
            )


def _here(prefix: str) -> list[dict[str, Any]]:
    entries = []
    for active in run(active_channels, prefix):
        entry: dict[str, Any] = {
            "channel": str(active.channel),
            "minute_rate": active.minute_rate,
            "subscribers": active.subscribers,
        }
        if active.schema is not None:
            entry["data"] = orjson.loads(active.schema)
        entries.append(entry)
    return entries


def _there(site: Site, prefix: str) -> list[dict[str, Any]]:
    answer = site.get(f"list?{urlencode({'prefix': prefix})}" if prefix else "list")
    site.close()
    channels = answer.get("channels") if isinstance(answer, dict) else None
    if not isinstance(channels, list):
        raise refused(f"{site.address} answered something else than a list of channels")
    return channels


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    schema = entry.get("data", {}).get("schema", {})
    fields = ", ".join(str(field.get("name", "?")) for field in schema.get("fields", ()))
    return str(entry["channel"]), str(entry["minute_rate"]), str(entry["subscribers"]), fields


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    """The rows with aligned columns; numbers to the right, the last one as long as it is."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS) - 1)]
    return [
        f"{name:<{widths[0]}}  {rate:>{widths[1]}}  {subscribers:>{widths[2]}}  {fields}".rstrip()
        for name, rate, subscribers, fields in rows
    ]
