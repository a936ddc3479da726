"""Template tags that put a channel on a page: ``{% live_script %}``, ``{% live_panel %}`` and ``{% live_value %}``.

The page needs no JavaScript of its own. The tags write the custom elements of ``static/live/elements.js`` and what that
script must know; nothing they write is refused by a strict content security policy.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any

from django import template
from django.forms.utils import flatatt
from django.template import TemplateSyntaxError
from django.templatetags.static import static
from django.utils.html import escape, format_html, json_script
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from live.channel import Channel
from live.conf import live_settings
from live.exceptions import InvalidChannel

try:
    _csp: Any = import_module("django.middleware.csp")
except ImportError:  # Django 5.2
    _csp = None

register = template.Library()

TYPES = ("timeseries", "stat", "raw")
"""Ways in which a panel shows its channel: lines over time, a big number, the messages as they are."""

MAX_DIGITS = 20
"""Most decimals of a value."""


def _texts() -> dict[str, str]:
    """What the elements say, in the language of the request."""
    return {
        "waiting": gettext("Waiting for data"),
        "lost": gettext("Connection lost, trying again"),
        "offline": gettext("Not connected"),
        "off": gettext("Live is switched off"),
        "forbidden": gettext("You may not watch this channel"),
        "nowhere": gettext("There is no such channel"),
        "broken": gettext("Waiting for a whole frame"),
        "nothing": gettext("No channel is named"),
        "back": gettext("Connected again"),
        "chart": gettext("Chart"),
        "empty": gettext("no data yet"),
        "moment": gettext("point in time"),
        "at": gettext("{time}: {values}"),
        "latest": gettext("latest at {time}: {values}"),
        "points": gettext("{count} points in time since {time}"),
        "earlier": gettext("earlier"),
        "more": gettext("and {count} more"),
    }


def _nonce(context: template.Context) -> str:
    """The nonce of the request's content security policy: Django's, django-csp's, or ``csp_nonce`` of the context."""
    request = context.get("request")
    found = [context.get("csp_nonce"), getattr(request, "csp_nonce", None), _csp and _csp.get_nonce(request)]
    # A lazy nonce is false until it is read, and only then a part of the policy: its truth says nothing.
    return next((str(each) for each in found if each is not None), "")


@register.simple_tag(takes_context=True)
def live_script(context: template.Context, url: str = "", announce: bool = True) -> SafeString:
    """Write the configuration and the module script of the elements, once on a page that has any.

    `url` is the WebSocket's address where it is not ``/api/live/ws`` of the page's host. Without `announce` the page
    itself tells those who hear it that the connection is lost.
    """
    config = {"url": url, "enabled": live_settings.max_connections != 0, "announce": announce, "texts": _texts()}
    attributes = {"type": "module", "src": static("live/elements.js")}
    if nonce := _nonce(context):
        attributes["nonce"] = nonce
    return format_html("{}<script{}></script>", json_script(config, "live-config"), flatatt(attributes))


@register.simple_tag
def live_panel(
    channel: Channel | str,
    fields: str | Iterable[str] = "",
    type: str = "timeseries",  # noqa: A002 the attribute's name
    title: str = "",
    unit: str = "",
    labels: str = "",
) -> SafeString:
    """Write a ``<live-panel>``: the channel as lines over time, or as `type` says, one of `TYPES`.

    `fields` are names, as a list or with commas between them; none means all. `labels` (``"cpu=cpu-total, host=a"``)
    keeps only the series that have all of these. `unit` is ``percent``, ``bytes``, ``bytes/s`` or a text behind each
    value.
    Raises `TemplateSyntaxError` for a channel name that cannot be and for an unknown type.
    """
    if type not in TYPES:
        raise TemplateSyntaxError(f"live_panel: type is {', '.join(TYPES[:-1])} or {TYPES[-1]}, not {type!r}.")
    names = fields if isinstance(fields, str) else ",".join(fields)
    attributes = {"channel": _name("live_panel", channel), "fields": names, "labels": labels}
    return _element("live-panel", attributes | {"type": type, "title": title, "unit": unit})


@register.simple_tag
def live_value(
    channel: Channel | str,
    field: str = "",
    unit: str = "",
    digits: object = None,
    labels: str = "",
    default: str = "–",  # noqa: RUF001 what stands for a missing value everywhere else too
) -> SafeString:
    """Write a ``<live-value>``: the latest value of a field, to stand in a sentence.

    Without a field it is the first one. Where the channel carries other JSON than frames, `field` is a path in it, as
    ``orders.open``. `digits` (0 to 20) fixes the decimals; `default` stands there until there is a value. Raises
    `TemplateSyntaxError` for a channel name that cannot be and for other digits.
    """
    if digits is not None and (not isinstance(digits, int) or not 0 <= digits <= MAX_DIGITS):
        raise TemplateSyntaxError(f"live_value: digits is a number from 0 to {MAX_DIGITS}, not {digits!r}.")
    attributes = {"channel": _name("live_value", channel), "field": field, "labels": labels, "unit": unit}
    return _element("live-value", attributes | {"digits": "" if digits is None else str(digits)}, default)


def _name(tag: str, channel: Channel | str) -> str:
    try:
        return str(channel if isinstance(channel, Channel) else Channel.parse(str(channel)))
    except InvalidChannel as error:
        raise TemplateSyntaxError(f"{tag}: {str(channel)!r} is no channel: {error}") from error


def _element(name: str, attributes: dict[str, str], content: str = "") -> SafeString:
    """An element with those attributes that say something.

    A text is a text: it is escaped also where a template has it between quotes, which Django takes for HTML.
    """
    said = {key: escape(value) for key, value in attributes.items() if value != ""}
    return format_html("<{0}{1}>{2}</{0}>", name, flatatt(said), escape(content))
