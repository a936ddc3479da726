"""``manage.py live publish CHANNEL JSON``: one publication."""

from __future__ import annotations

import argparse
import secrets
from typing import Any

from live.channel import Channel
from live.commands.base import Console, Subcommand, add_site_arguments, reaches_others, refused, standard_input
from live.commands.site import Site
from live.exceptions import BadData
from live.protocol import dump_json, load_json
from live.publishing import publish

MAX_INPUT = 16 * 1024 * 1024
"""Bytes read from stdin; far more than any site takes."""


class PublishCommand(Subcommand):
    """Publishes in this process, as the server itself, or with ``--url`` as the token's user."""

    name = "publish"
    help = "publish JSON to a channel"
    examples = """\
examples:
  manage.py live publish grafana/broadcast/hall '{"say": "hello"}' --url http://127.0.0.1:8000
  date +'"%c"' | manage.py live publish grafana/broadcast/hall - --url http://127.0.0.1:8000

In this process (without --url) it is the server that publishes: no handler is asked whether it may."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Its arguments."""
        parser.add_argument("channel", metavar="CHANNEL", help="scope/namespace/path")
        parser.add_argument("data", metavar="JSON", help="what to publish; - reads it from stdin")
        parser.add_argument("--json", action="store_true", help="print the answer as JSON")
        add_site_arguments(parser)

    def run(self, options: dict[str, Any], console: Console) -> None:
        """Publishes."""
        channel = Channel.parse(options["channel"])
        text = standard_input().buffer.read(MAX_INPUT + 1) if options["data"] == "-" else options["data"]
        if len(text) > MAX_INPUT:
            raise refused(f"more than {MAX_INPUT} bytes to publish")
        try:
            data = load_json(text)
        except BadData as error:
            raise refused(f"{error.message}; a text needs its quotes, as in '\"hello\"'") from None
        site = Site.of(options, console)
        if site is None:
            position = publish(channel, data)
            answer = {} if position is None else {"offset": position.offset, "epoch": position.epoch}
        else:
            # The same in every try: where the channel keeps history, the publication is there once.
            key = secrets.token_hex(16)
            answer = site.post_json("publish", {"channel": str(channel), "data": data, "idempotency_key": key})
            site.close()
        if options["json"]:
            console.line(dump_json(answer).decode())
        else:
            place = f" at offset {answer['offset']}" if "offset" in answer else ""
            console.line(f"published to {channel}{place}")
        if site is None and not reaches_others():
            console.note(
                "hint: the channel layer of these settings is in-memory, so nobody outside this process got it; "
                "--url http://127.0.0.1:8000 publishes through a running site"
            )
