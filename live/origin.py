"""Which browser origins may open a WebSocket: the rules of grafana-live §8, pure.

A page of another site can make a visitor's browser open a socket with the visitor's cookies; the Origin header is the
only thing that tells. A request without one does not come from a browser page and passes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import SplitResult, urlsplit


@lru_cache(maxsize=256)
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """The glob `pattern` as a regular expression for a whole origin.

    ``*`` is any run of characters (also ``.``, ``/`` and ``:``), ``?`` one character, ``[ab]`` and ``[!ab]`` one of
    a set, ``{a,b}`` one of several texts. Raises `ValueError` saying what is wrong with the pattern.
    """
    out: list[str] = []
    depth = 0
    i = 0
    while i < len(pattern):
        char = pattern[i]
        if char == "*":
            out.append(".*")
        elif char == "?":
            out.append(".")
        elif char == "[":
            end = pattern.find("]", i + 2)
            if end < 0:
                raise ValueError(f"origin pattern {pattern!r}: '[' is not closed")
            inner = pattern[i + 1 : end]
            negated = inner[:1] in ("!", "^")
            body = (inner[1:] if negated else inner).replace("\\", r"\\").replace("[", r"\[").replace("^", r"\^")
            if not body:
                raise ValueError(f"origin pattern {pattern!r}: '[]' holds nothing")
            out.append(f"[{'^' if negated else ''}{body}]")
            i = end
        elif char == "{":
            depth += 1
            out.append("(?:")
        elif char == "}" and depth:
            depth -= 1
            out.append(")")
        elif char == "," and depth:
            out.append("|")
        elif char == "}":
            raise ValueError(f"origin pattern {pattern!r}: '}}' closes nothing")
        else:
            out.append(re.escape(char))
        i += 1
    if depth:
        raise ValueError(f"origin pattern {pattern!r}: '{{' is not closed")
    try:
        return re.compile("".join(out), re.DOTALL)
    except re.error as error:
        raise ValueError(f"origin pattern {pattern!r}: {error}") from error


def _split(url: str) -> SplitResult | None:
    """`url` parsed, or None when it is no URL with a scheme, a host and a sound port."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts if parts.scheme and parts.hostname else None


def origin_allowed(origin: str | None, *, host: str, root_url: str, patterns: Sequence[str]) -> bool:
    """Whether a WebSocket handshake with this ``Origin`` header may go on.

    `host` is the request's Host header, `root_url` the site's own URL (``LIVE["ROOT_URL"]``, may be empty), `patterns`
    the globs of ``LIVE["ALLOWED_ORIGINS"]``. The order of the rules is that of grafana-live §8.
    """
    if not origin:
        return True
    if list(patterns) == ["*"]:
        return True
    parts = _split(origin.lower())
    if parts is None:
        return False
    if parts.netloc == host.lower():
        return True
    root = _split(root_url.lower())
    if root is not None and parts.scheme == root.scheme:
        # Browsers leave the default port out of the Origin, site owners often write it in the URL.
        own = root.netloc if parts.port is not None else root.hostname
        if parts.netloc == own:
            return True
    return any(compile_pattern(pattern).fullmatch(origin) for pattern in patterns)
