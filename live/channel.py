"""Channel names: parse, validate, format.

A channel is named ``scope/namespace/path``. This module knows the rules of such a name and nothing else: not which
scopes exist, not who may use them. It must never import Django.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache

from live.exceptions import InvalidChannel

MAX_LENGTH = 160
"""Longest channel name in bytes; a name of exactly this length is valid."""

_PART = re.compile(r"[A-Za-z0-9_-]+")
_PATH = re.compile(r"[A-Za-z0-9_\-/=.]+")

_PART_RULE = "only letters, digits, '_' and '-' are allowed"
_PATH_RULE = "only letters, digits, '_', '-', '/', '=' and '.' are allowed"


def is_part(value: object) -> bool:
    """Whether `value` is a text that can be the scope or the namespace of a channel."""
    return isinstance(value, str) and _PART.fullmatch(value) is not None


def _first_bad(pattern: re.Pattern[str], text: str) -> str:
    """The first character of `text` that `pattern` does not allow, printable."""
    return next((ascii(char) for char in text if not pattern.fullmatch(char)), "''")


@dataclass(frozen=True, slots=True, order=True)
class Channel:
    """The name of a channel: a value, hashable, equal by its three parts.

    Building one directly checks the same rules as `parse` (grafana-live §1.1): every part is non-empty, scope and
    namespace are made of letters, digits, ``_`` and ``-``, the path also of ``/``, ``=`` and ``.``, and the whole is
    at most 160 bytes. Raises `InvalidChannel`, whose message names the part and the rule.
    """

    scope: str
    namespace: str
    path: str

    def __post_init__(self) -> None:
        for part, value, pattern, rule in (
            ("scope", self.scope, _PART, _PART_RULE),
            ("namespace", self.namespace, _PART, _PART_RULE),
            ("path", self.path, _PATH, _PATH_RULE),
        ):
            if not value:
                raise InvalidChannel(f"{part} is empty; a channel is scope/namespace/path")
            # fullmatch: `$` would let a trailing newline pass.
            if not pattern.fullmatch(value):
                raise InvalidChannel(f"{part} holds {_first_bad(pattern, value)}: {rule}")
        length = len(self.scope) + len(self.namespace) + len(self.path) + 2
        if length > MAX_LENGTH:
            raise InvalidChannel(f"name is {length} bytes long, at most {MAX_LENGTH} are allowed")

    @classmethod
    def parse(cls, text: str) -> Channel:
        """The channel that `text` names; everything after the second slash is the path.

        Raises `InvalidChannel` naming the part and the rule it breaks.
        """
        return _parse(text)

    def __str__(self) -> str:
        return f"{self.scope}/{self.namespace}/{self.path}"

    @property
    def group(self) -> str:
        """The name of its group in the channel layer."""
        return "live." + self.digest

    @property
    def digest(self) -> str:
        """40 hexadecimal digits for names of groups and keys, which allow fewer characters (pitfall 32)."""
        return _digest(str(self))


@lru_cache(maxsize=4096)
def _parse(text: str) -> Channel:
    if not text:
        raise InvalidChannel("name is empty; a channel is scope/namespace/path")
    # Before anything else, so that a huge name costs nothing; a character is at least one byte.
    if len(text) > MAX_LENGTH:
        raise InvalidChannel(f"name is {len(text)} characters long, at most {MAX_LENGTH} are allowed")
    parts = text.split("/", 2)
    if len(parts) < 3:
        missing = "path" if len(parts) == 2 else "namespace and path"
        raise InvalidChannel(f"{missing} missing; a channel is scope/namespace/path")
    return Channel(*parts)


@lru_cache(maxsize=4096)
def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:40]
