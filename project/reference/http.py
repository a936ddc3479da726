"""docs/reference/http.md: the operations of the HTTP API, read from its OpenAPI document."""

from __future__ import annotations

from typing import Any

from drf_spectacular.generators import SchemaGenerator

from project.reference.text import code, line, page, table

INTRO = """
From the OpenAPI document that the extra `schema` makes; `python manage.py spectacular` writes the whole of it, with the
schemas of all bodies. [The HTTP API](../http-api.md) explains it with examples. The paths are those of a project that
includes `live.api.urls` below `api/live/`.
"""

SCHEMES = {
    "liveToken": "`Authorization: Token`",
    "liveBearer": "`Authorization: Bearer`",
    "liveSession": "session with CSRF token",
    "liveBasic": "`Authorization: Basic`",
}


def http_page() -> str:
    """The page."""
    document: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    parts = [
        _operation(path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    return page("HTTP", INTRO, *parts)


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    parts = [f"## `{method.upper()} {path}`", f"**{operation['summary']}**", operation.get("description", "")]
    security = [SCHEMES.get(name, code(name)) for each in operation.get("security", ()) for name in each]
    parts.append(f"Who: {', '.join(security) if security else 'everybody'}.")
    if parameters := operation.get("parameters"):
        parts.append(table(["parameter", "in", "type", "what"], [_parameter(each) for each in parameters]))
    if body := operation.get("requestBody"):
        parts.append(f"Body: {', '.join(map(code, body['content']))}.")
    parts.append(table(["status", "what"], [_answer(*each) for each in sorted(operation["responses"].items())]))
    return "\n\n".join(part for part in parts if part)


def _parameter(parameter: dict[str, Any]) -> list[str]:
    schema = parameter["schema"]
    kind = ", ".join(map(code, schema["enum"])) if "enum" in schema else code(schema.get("type", ""))
    name = code(parameter["name"]) + (", required" if parameter.get("required") else "")
    return [name, parameter["in"], kind, line(parameter.get("description", ""))]


def _answer(status: str, answer: dict[str, Any]) -> list[str]:
    return [status, line(answer.get("description", ""))]
