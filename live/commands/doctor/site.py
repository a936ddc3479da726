"""A running site as browsers reach it, through whatever proxies there are: the probes, a page, the WebSocket."""

from __future__ import annotations

import asyncio
import http.client
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings

from live.commands.base import printable
from live.commands.doctor import refusals
from live.commands.doctor.configuration import known_settings
from live.commands.doctor.finding import Finding, bounded, error, in_thread, ok, warning
from live.commands.doctor.wire import Answer, Foreign, Wire
from live.commands.site import Site
from live.origin import origin_allowed

FOREIGN_ORIGIN = "https://doctor.invalid"
"""The origin of a page that no site has."""
EXPIRES_SOON = 14 * 24 * 3600.0
"""Seconds before its end when a certificate should have been renewed."""

_FAILURES = (OSError, http.client.HTTPException)


@dataclass(slots=True)
class Visit:
    """What the checks of one site share: the site, the pages' origin, and what the first of them found out."""

    site: Site
    origin: str
    context: ssl.SSLContext | None = None
    """For TLS; another than the usual one where the certificate is not trusted."""
    lives: bool = False
    """Whether /livez was Live's."""
    opened: bool = False
    """Whether the WebSocket was let in."""

    @property
    def host(self) -> str:
        """The Host header that browsers send."""
        return urlsplit(self.site.address).netloc

    def wire(self) -> Wire:
        """A new connection."""
        return Wire(self.site, self.context)


async def check_site(site: Site, origin: str = "") -> list[Finding]:
    """Everything about the site; `origin` is that of its pages, where they come from another host."""
    address = urlsplit(site.address)
    visit = Visit(site, origin or f"{address.scheme}://{address.netloc}")
    findings = await _look("site", _reach, visit)
    if any(finding.check == "site" and finding.fix for finding in findings):
        return findings
    probes = (("site-livez", _livez), ("site-readyz", _readyz), ("site-pages", _pages))
    for found in await asyncio.gather(*(_look(check, function, visit) for check, function in probes)):
        findings += found
    findings += await _look("site-websocket", _websocket, visit)
    if visit.opened:
        findings += await _look("site-origin", _foreign_origin, visit)
    return findings


async def _look(check: str, function: Callable[[Visit], Iterator[Finding]], visit: Visit) -> list[Finding]:
    def look() -> list[Finding]:
        try:
            return list(function(visit))
        except _FAILURES as failure:
            return [_failed(check, failure, visit)]

    return await bounded(check, in_thread(look))


def _failed(check: str, failure: Exception, visit: Visit) -> Finding:
    reason = refusals.explain_failure(failure, visit.site.address)
    return error(check, f"{visit.site.address}: {reason.found}", reason.fix, reason.why)


def _reach(visit: Visit) -> Iterator[Finding]:
    """Name, port, TLS. An untrusted certificate is reported, and the rest is looked at in spite of it."""
    try:
        with visit.wire() as wire:
            certificate = wire.open()
    except ssl.SSLCertVerificationError as failure:
        reason = refusals.explain_failure(failure, visit.site.address)
        yield error("site-tls", f"{visit.site.address}: {reason.found}", reason.fix, reason.why)
        visit.context = ssl.create_default_context()
        visit.context.check_hostname = False
        visit.context.verify_mode = ssl.CERT_NONE
        return
    yield ok("site", f"{visit.site.address} can be reached")
    if visit.site.scheme == "https":
        yield _expiry(str(certificate.get("notAfter", "")))


def _expiry(until: str) -> Finding:
    left = ssl.cert_time_to_seconds(until) - time.time() if until else EXPIRES_SOON
    found = f"trusted, until {until or 'an unknown time'}"
    if left >= EXPIRES_SOON:
        return ok("site-tls", found)
    fix = "certbot renew, and have the proxy read it again (systemctl reload nginx)"
    return warning("site-tls", f"{found}: {left / 86400:.0f} days", fix)


def _livez(visit: Visit) -> Iterator[Finding]:
    with visit.wire() as wire:
        answer = wire.get("/livez")
    visit.lives = answer.status == 200 and answer.body.strip() == b"ok"
    if visit.lives:
        yield ok("site-livez", "ok")
    else:
        yield warning("site-livez", _unlike(answer), _PROBES)


def _readyz(visit: Visit) -> Iterator[Finding]:
    with visit.wire() as wire:
        answer = wire.get("/readyz")
    text = printable(answer.body.decode(errors="replace").strip().replace("\n", ", "))[:200]
    if answer.status == 200 and text == "ok":
        yield ok("site-readyz", "ok")
    elif answer.status == 503 and answer.headers.get("content-type", "").startswith("text/plain"):
        yield error("site-readyz", f"not ready: {text}", "See the checks of Redis, and the log of the server.")
    else:
        yield warning("site-readyz", _unlike(answer), _PROBES)


_PROBES = "Have the proxy pass /livez and /readyz on; live_application(health_paths=...) in asgi.py has other paths."


def _unlike(answer: Answer) -> str:
    where = f", to {answer.elsewhere}" if answer.elsewhere else ""
    return f"answered {answer}{where}, not as Live answers"


def _pages(visit: Visit) -> Iterator[Finding]:
    with visit.wire() as wire:
        answer = wire.get("/")
    found = f"{visit.site.root}/ is answered {answer}"
    if answer.status == 400:
        why = "Django answers so when the host it sees is not in ALLOWED_HOSTS."
        fix = f"Add {visit.site.host!r} to ALLOWED_HOSTS; {refusals.LET_HOST_THROUGH}"
        yield error("site-pages", found, fix, why)
    elif answer.status >= 500:
        yield error("site-pages", found, "See the logs of proxy and server.")
    elif visit.site.scheme == "https" and answer.elsewhere and _back_to_plain(visit, answer):
        why = "Django takes the request for one without TLS: X-Forwarded-Proto is not sent, or not believed."
        fix = (
            "nginx: proxy_set_header X-Forwarded-Proto $scheme; settings: "
            "SECURE_PROXY_SSL_HEADER = ('HTTP_X_FORWARDED_PROTO', 'https')"
        )
        yield error("site-pages", f"{found}, to {answer.elsewhere}", fix, why)
    else:
        yield ok("site-pages", found)


def _back_to_plain(visit: Visit, answer: Answer) -> bool:
    """Whether a page over TLS leads to one without, or to itself for ever."""
    same = answer.elsewhere.rstrip("/") == visit.site.address.rstrip("/")
    return answer.elsewhere.startswith("http://") or (same and settings.SECURE_SSL_REDIRECT)


def _websocket(visit: Visit) -> Iterator[Finding]:
    """A handshake as a browser makes it, and `connect` over what it opens."""
    started = time.monotonic()
    with visit.wire() as wire:
        try:
            answer = wire.upgrade(visit.origin)
            if answer.status != 101:
                yield _refused(visit, answer)
                return
            visit.opened = True
            said = wire.connect_command()
        except Foreign as problem:
            yield error("site-websocket", str(problem), "See what answers there: another service, or a cache between.")
            return
        except TimeoutError:
            if not visit.opened:
                raise
            why = "Something between holds back what it should pass on: it buffers, or knows only requests and answers."
            fix = "nginx: proxy_buffering off; for the location; other proxies: the mode that is for WebSockets."
            yield error("site-websocket", "the handshake passes, and then nothing comes through", fix, why)
            return
        except ConnectionError:
            if not visit.opened:
                raise
            why = "Something between lets the handshake pass and cuts what follows."
            fix = "The proxy's log says why; it must let WebSockets be open for hours (docs/deploy.md, The front)."
            yield error("site-websocket", "the handshake passes, and then the connection is cut", fix, why)
            return
    yield _connected(said, (time.monotonic() - started) * 1000)


def _connected(said: dict[str, object], milliseconds: float) -> Finding:
    reply, push, problem = (said.get(key) for key in ("connect", "disconnect", "error"))
    if isinstance(reply, dict):
        version, ping = printable(str(reply.get("version", "?")))[:50], reply.get("ping", 0)
        pings = f"pings every {ping} s" if ping else "no pings"
        return ok("site-websocket", f"connected to {version} in {milliseconds:.0f} ms, {pings}")
    if isinstance(push, dict):
        code, text = push.get("code", 0), printable(str(push.get("reason", "")))[:100]
        reason = refusals.explain_disconnect(code if isinstance(code, int) else 0, text)
        if reason is None:
            return ok("site-websocket", f"open in {milliseconds:.0f} ms; the site wants a login, which this has not")
        return error("site-websocket", reason.found, reason.fix, reason.why)
    return error("site-websocket", f"connect is refused: {printable(str(problem))[:200]}", "See the log of the server.")


def _refused(visit: Visit, answer: Answer) -> Finding:
    if answer.status == 403:
        with visit.wire() as wire:
            without = wire.upgrade("").status == 101
        reason = refusals.explain_forbidden(visit.origin, by_settings=_allowed(visit), without=without)
    else:
        reason = refusals.explain_refusal(answer, lives=visit.lives)
    return error("site-websocket", reason.found, reason.fix, reason.why)


def _allowed(visit: Visit) -> bool:
    """What the settings here say of the pages' origin, if the server sees the host of the URL."""
    live = known_settings()
    return origin_allowed(visit.origin, host=visit.host, root_url=live.root_url, patterns=live.allowed_origins)


def _foreign_origin(visit: Visit) -> Iterator[Finding]:
    """Whether another site's page is refused."""
    with visit.wire() as wire:
        answer = wire.upgrade(FOREIGN_ORIGIN)
    live = known_settings()
    if answer.status != 101:
        yield ok(
            "site-origin", f"pages of {visit.origin} are let in, those of another site are answered {answer.status}"
        )
    elif origin_allowed(FOREIGN_ORIGIN, host=visit.host, root_url=live.root_url, patterns=live.allowed_origins):
        fix = f"LIVE = {{'ALLOWED_ORIGINS': [{visit.origin!r}]}}"
        yield warning("site-origin", "LIVE['ALLOWED_ORIGINS'] lets every site in", fix)
    else:
        why = "The header Origin does not reach the server, so nothing tells it whose page it is."
        fix = 'nginx: take out proxy_set_header Origin "";'
        yield error("site-origin", f"a page of {FOREIGN_ORIGIN} is let in", fix, why)
