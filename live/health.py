"""Whether this process lives and whether it should get visitors, for load balancers: ``/livez`` and ``/readyz``.

Answered before Django sees the request: a probe asks an address, not a host of ``ALLOWED_HOSTS``, follows no redirect,
and must not wait for a thread or a database. The reasons are words for an operator and hold nothing secret.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from live import drain
from live.node import Node, runtime

logger = logging.getLogger("live.health")

HEALTH_PATHS = ("livez", "readyz")
"""Where a site answers by default, below its root: whether it lives, and whether it is ready."""

ANSWER_SECONDS = 0.9
"""How long an answer takes at most; Kubernetes waits for a second."""

Answer = tuple[int, str]
"""An HTTP status and the lines of its body."""


class Health:
    """The two probes of one application; `live_path` and `ready_path` are relative to the site's root."""

    def __init__(self, live_path: str, ready_path: str) -> None:
        self._live = "/" + live_path.strip("/")
        self._ready = "/" + ready_path.strip("/")
        self._start: asyncio.Task[Node] | None = None
        self._failing = False

    def find(self, scope: dict[str, Any]) -> Callable[[], Any] | None:
        """What answers this HTTP request, or None when it is no probe."""
        path: str = scope["path"]
        if path not in (self._live, self._ready):
            root: str = scope.get("root_path") or ""
            if not root or not path.startswith(root):
                return None
            path = path[len(root) :]
        if path == self._live:
            return self._lives
        return self._is_ready if path == self._ready else None

    async def answer(self, scope: dict[str, Any], send: Any, probe: Callable[[], Any]) -> None:
        """Sends what `probe` found."""
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store")]
        if scope["method"] in ("GET", "HEAD"):
            status, text = await probe()
        else:
            status, text = 405, "method not allowed"
            headers.append((b"allow", b"GET, HEAD"))
        body = f"{text}\n".encode()
        headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _lives(self) -> Answer:
        # That it was said is the answer: the loop takes its turns.
        return 200, "ok"

    async def _is_ready(self) -> Answer:
        """Ready, or the reasons why not, one a line; starts the node of a process that had no request yet."""
        if drain.has_left():
            # Another node would be listed after the process is gone.
            return 503, "draining: this node is about to stop"
        reasons = await self._reasons()
        return (503, "\n".join(reasons)) if reasons else (200, "ok")

    async def _reasons(self) -> list[str]:
        loop = asyncio.get_running_loop()
        start = self._start
        if start is None or start.done() or start.get_loop() is not loop:
            start = self._start = loop.create_task(runtime.serve(), name="live start for a probe")
            start.add_done_callback(self._started)
        reason = "starting"
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                # Not cancelled with the probe: a request may wait for the same start.
                await asyncio.wait([start])
                if start.cancelled() or start.exception() is not None:
                    return ["cannot start, see the log"]
                reason = "the store does not answer"
                return await start.result().unready()
        except TimeoutError:
            return [reason]

    def _started(self, start: asyncio.Task[Node]) -> None:
        """Logs why the node does not start, once until it does: probes come every few seconds."""
        error = None if start.cancelled() else start.exception()
        if error is not None and not self._failing:
            logger.error("the node does not start", exc_info=error)
        self._failing = error is not None
