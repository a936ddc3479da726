"""docs/reference/settings.md: every key of ``LIVE``, with its default, type, limits and meaning."""

from __future__ import annotations

import re
from dataclasses import MISSING, Field, fields

from live.conf import _RULES, LiveSettings
from project.reference.text import attributes, code, markdown, page

INTRO = """
All of them are keys of one dictionary in the project's settings; a key that is left out has its default. They are read
when they are first needed and again when a test changes them (`override_settings(LIVE={...})`), never at import.

```python
# settings.py
LIVE = {
    "ALLOW_ANONYMOUS": True,
    "MAX_CONNECTIONS": 5000,
}
```

`python manage.py check` names each wrong key, with the one that was probably meant, and each wrong value.
`PONG_TIMEOUT` must be smaller than `PING_INTERVAL`, and `MAX_PUBLICATION_SIZE` than `CLIENT_QUEUE_MAX_BYTES`.
"""


def settings_page() -> str:
    """The page."""
    said = attributes(LiveSettings)
    return page("Settings", INTRO, *(_key(field, *said[field.name]) for field in fields(LiveSettings)))


def _key(field: Field[object], annotation: str, docstring: str) -> str:
    facts = [f"default {code(_default(field))}", code(annotation)]
    least = re.search(r"at least (\S+),", _RULES[field.name](-(10**12)) or "")
    if least:
        facts.append(f"at least {code(least[1])}")
    return f"## `{field.name.upper()}`\n\n{', '.join(facts)}\n\n{markdown(docstring)}"


def _default(field: Field[object]) -> str:
    value = field.default if field.default_factory is MISSING else field.default_factory()
    return "[]" if value == () else repr(value)
