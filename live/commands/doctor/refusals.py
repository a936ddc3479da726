"""What the answers of proxies and servers to a handshake mean, in words: pure, a table of reasons with ways out."""

from __future__ import annotations

import http.client
import socket
import ssl
from dataclasses import dataclass

from live.commands.doctor.wire import Answer
from live.exceptions import DisconnectCode

LET_UPGRADE_THROUGH = (
    'nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"; '
    "(for others see docs/deploy.md, The front)"
)
LET_HOST_THROUGH = "nginx: proxy_set_header Host $http_host; (or the address that browsers see as LIVE['ROOT_URL'])"


@dataclass(frozen=True, slots=True)
class Reason:
    """What happened, why, and the way out."""

    found: str
    why: str
    fix: str


def explain_failure(failure: Exception, address: str) -> Reason:
    """Why there was no answer at all."""
    if isinstance(failure, socket.gaierror):
        why = "The name leads nowhere."
        return Reason("the name is not known", why, f"getent hosts {_host(address)}; a typing error, or no DNS record")
    if isinstance(failure, ConnectionRefusedError):
        why = "The machine is there, and nobody listens on that port."
        return Reason("nobody listens there", why, "Start the site, or its proxy; ss -ltn shows who listens where.")
    if isinstance(failure, ssl.SSLCertVerificationError):
        return _certificate(failure)
    if isinstance(failure, ssl.SSLError):
        what = str(failure.reason or "the handshake failed").replace("_", " ").lower()
        why = "It speaks plain HTTP there, or only old versions of TLS."
        return Reason(f"no TLS: {what}", why, f"curl -v {address}/livez")
    if isinstance(failure, TimeoutError) and "handshake" in str(failure):
        why = "What listens there waits for plain HTTP."
        return Reason("no TLS: the handshake is not answered", why, f"curl -v {address}/livez")
    if isinstance(failure, TimeoutError):
        why = "A firewall drops what comes, or something took the connection and passes nothing on."
        return Reason("no answer in time", why, f"curl -v --max-time 5 {address}/livez")
    if isinstance(failure, http.client.BadStatusLine | ConnectionResetError | BrokenPipeError):
        why = "It ends the connection: a port that speaks TLS (https:// in --url), or a proxy without a server behind."
        return Reason("the connection was ended without an answer", why, f"curl -v {address}/livez")
    if isinstance(failure, http.client.HTTPException):
        return Reason("something that is not HTTP", "Another service has this port.", f"curl -v {address}/livez")
    text = failure.strerror if isinstance(failure, OSError) and failure.strerror else type(failure).__name__
    return Reason(text.lower(), "The system does not reach it.", f"curl -v {address}/livez")


def _host(address: str) -> str:
    return address.partition("//")[2].partition("/")[0].rpartition(":")[0] or address.partition("//")[2]


def _certificate(failure: ssl.SSLCertVerificationError) -> Reason:
    found = f"the certificate is not trusted: {failure.verify_message.rstrip('.')}"
    why = "Browsers open no WebSocket, and show no page about it, when they do not trust the certificate."
    match failure.verify_code:
        case 10:
            fix = "Renew it (certbot renew), and have the proxy read it again (systemctl reload nginx)."
        case 18 | 19:
            fix = (
                "Use one of an authority that browsers know (certbot), or add yours to theirs (SSL_CERT_FILE for this)."
            )
        case 20 | 21:
            fix = "Give the proxy the whole chain: nginx wants fullchain.pem as ssl_certificate."
        case 62 | 64:
            fix = "Get one for the name that is in the URL (certbot -d), or use the name that it is for."
        case _:
            fix = "openssl s_client -connect <host>:<port> -servername <host> shows it."
    return Reason(found, why, fix)


def explain_refusal(answer: Answer, *, lives: bool) -> Reason:
    """Why a handshake was answered with something else than 101 and 403; `lives`: /livez there is Live's."""
    found = f"the handshake is answered {answer}"
    stripped = "What reaches the server is no WebSocket: something between drops the header Upgrade."
    status = answer.status
    if answer.elsewhere:
        why = "WebSockets follow no redirects; pages that come over https use wss, so look at that address."
        return Reason(f"{found}, to {answer.elsewhere}", why, f"--url {answer.elsewhere.partition('/api/')[0]}")
    if status == 400 and b"plain HTTP request was sent to HTTPS port" in answer.body:
        return Reason(found, "The port speaks TLS.", "Use https:// in --url.")
    if status == 400:
        why = f"{stripped[:-1]}, or Connection, or changes Host to one that is not in ALLOWED_HOSTS."
        return Reason(found, why, f"{LET_UPGRADE_THROUGH}; {LET_HOST_THROUGH}")
    if status in (401, 407):
        why = "A proxy wants a password before it passes anything on; browsers send none with a WebSocket."
        return Reason(found, why, "Leave /api/live/ws out of the proxy's own login; Live asks Django who it is.")
    if status == 404 and not lives:
        why = "What answers there is not Live: the path leads elsewhere, or the proxy drops the header Upgrade."
        return Reason(
            found, why, f"Name the site's root in --url and have the proxy pass /api/live/ on; {LET_UPGRADE_THROUGH}"
        )
    if status in (200, 404, 405, 426):
        return Reason(found, stripped, LET_UPGRADE_THROUGH)
    if status == 429:
        return Reason(
            found, "A proxy limits requests.", "Raise its limit for /api/live/ws (nginx: limit_req, limit_conn)."
        )
    if status in (502, 503, 504):
        why = "The proxy reaches no server, or each of them refuses: see site-readyz."
        return Reason(
            found, why, "Start the servers, or correct their addresses in the proxy; its error log names them."
        )
    if status == 505:
        return Reason(found, "The proxy speaks HTTP/1.0 with the server, which has no WebSockets.", LET_UPGRADE_THROUGH)
    return Reason(found, "Neither Live nor a server it runs on answers like this.", "See the logs of proxy and server.")


def explain_forbidden(origin: str, *, by_settings: bool, without: bool) -> Reason:
    """Why a handshake was answered 403.

    `by_settings`: what the settings here say of this origin with the host of the URL; `without`: whether a handshake
    without an Origin is let in.
    """
    if not without:
        return Reason(
            "the handshake is answered 403, also without an Origin",
            "A proxy refuses it, or the server is about to stop: see site-readyz.",
            "See the log of the proxy (nginx: error.log; a web application firewall has one of its own).",
        )
    found = f"the handshake of a page of {origin} is answered 403, one without an Origin is not"
    if by_settings:
        why = "The server sees another host than the browser's, so the page counts as one of another site."
        return Reason(found, why, LET_HOST_THROUGH)
    why = "The page is one of another site for Live: its origin is not the host of the WebSocket."
    return Reason(found, why, f"Add {origin!r} to LIVE['ALLOWED_ORIGINS'].")


def explain_disconnect(code: int, reason: str) -> Reason | None:
    """Why Live ended the connection in place of an answer; None when that is what visitors get and all is well."""
    found = f"Live ends the connection: {code} {reason}".rstrip()
    match code:
        case DisconnectCode.BAD_REQUEST if reason == "no credentials":
            return None
        case DisconnectCode.CONNECTION_LIMIT:
            why = "As many clients are connected as may be; browsers try again by themselves."
            return Reason(found, why, "LIVE = {'MAX_CONNECTIONS': <more>}, or more nodes")
        case DisconnectCode.SHUTDOWN:
            return Reason(found, "The node is about to stop.", "Wait for the next one; see site-readyz.")
        case DisconnectCode.NO_SUCH_PATH:
            why = "WebSockets get through; Live's is on another path there, or the proxy changes the path."
            return Reason(found, why, "nginx: proxy_pass without a path; live_application(path=...) in asgi.py")
        case _:
            return Reason(found, "Nothing of the kind belongs to a first connection.", "See the log of the server.")
