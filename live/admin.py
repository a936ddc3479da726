"""The page of Live in Django's admin: the nodes, their clients, the busiest channels.

Loaded by ``django.contrib.admin`` where a project has it, and by nothing else. It reads only; the one thing that can be
done, to disconnect somebody, has a page of its own and needs the permission ``live.disconnect``.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.core.exceptions import FieldError, PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, URLPattern, path, reverse

from live.access import disconnect_user
from live.exceptions import DisconnectCode, EngineUnavailable
from live.logs import about
from live.models import Overview
from live.node import Node, Survey, current_node, runtime
from live.node.control import ClientReport, ControlMessage, Wanted
from live.publishing import LiveChannel, active_channels, control, run

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Overview]
else:
    _ModelAdmin = admin.ModelAdmin

logger = logging.getLogger("live.admin")

MAX_CLIENTS = 200
"""Clients on the page; of more, those for which most waits."""

MAX_CHANNELS = 20
"""Channels on the page, the busiest."""

MAX_USERS = 50
"""Users whose clients one search shows."""

MAX_TEXT = 150
"""Characters of a search, and of an id, that count."""

CODES = {"stay": DisconnectCode.FORCE_DISCONNECT, "return": DisconnectCode.FORCE_RECONNECT}
"""What becomes of those who are disconnected, and the code that does it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One client on the page."""

    client: ClientReport
    node: str
    since: datetime
    user: str
    """What the user is called; "" for an anonymous one."""
    user_url: str
    """Where the admin shows the user; "" where it does not."""


@admin.register(Overview)
class OverviewAdmin(_ModelAdmin):
    """Neither rows nor forms: two views."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """There is nothing to add."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """There is nothing to change."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """There is nothing to delete."""
        return False

    def has_disconnect_permission(self, request: HttpRequest) -> bool:
        """Whether the user may disconnect clients."""
        return self.has_view_permission(request) and request.user.has_perm("live.disconnect")

    def get_urls(self) -> list[URLPattern]:
        """The list, and the page that asks before it disconnects."""
        view = self.admin_site.admin_view
        return [
            path("", view(self.changelist_view), name="live_overview_changelist"),
            path("disconnect/", view(self.disconnect_view), name="live_overview_disconnect"),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """What every node has."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        query = _text(request, "q")
        problems: list[str] = []
        survey = _survey(_matching(query), problems)
        node = current_node()
        context = {
            "query": query,
            "problems": problems,
            "survey": survey,
            "total": sum(report.clients for report in survey.nodes),
            "rows": self._rows(survey),
            "most": MAX_CLIENTS,
            "this_node": node.id if node is not None else "",
            "channels": _busiest(problems),
            "may_disconnect": self.has_disconnect_permission(request),
        }
        return self._page(request, "live/overview.html", context | (extra_context or {}))

    def disconnect_view(self, request: HttpRequest) -> HttpResponse:
        """Asks what is to become of the clients of ``?user=``, or of the one of ``?client=``, and does it."""
        if not self.has_disconnect_permission(request):
            raise PermissionDenied
        user, client = _text(request, "user"), _text(request, "client")
        if bool(user) == bool(client):
            raise Http404
        person = _users([user]).get(user)
        name = str(person or user or client)
        if request.method == "POST":
            code = CODES.get(request.POST.get("then", ""))
            if code is None:
                raise Http404
            try:
                if user:
                    disconnect_user(user, code=code)
                else:
                    control(ControlMessage("disconnect", client=client, code=int(code), reason=code.reason))
            except EngineUnavailable as error:
                self.message_user(request, f"Nobody was disconnected: {error}.", messages.ERROR)
            else:
                self._log(request, name, person, client, code)
                return HttpResponseRedirect(self._url("changelist"))
        context = {"name": name, "client": client, "title": "Disconnect"}
        return self._page(request, "live/disconnect.html", context)

    def _log(self, request: HttpRequest, name: str, person: Any, client: str, code: DisconnectCode) -> None:
        extra = about(client=client, user=_text(request, "user"), code=code)
        logger.info("%s disconnected %r with code %d", request.user, name, code, extra=extra)
        if person is not None:
            self.log_change(request, person, f"Disconnected from Live with code {int(code)}.")
        self.message_user(request, f"Every node was told to disconnect {name}.", messages.SUCCESS)

    def _page(self, request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
        request.current_app = self.admin_site.name
        common = {"opts": self.opts, "title": "Live", "list_url": self._url("changelist")}
        common["disconnect_url"] = self._url("disconnect")
        return TemplateResponse(request, template, {**self.admin_site.each_context(request), **common, **context})

    def _url(self, view: str) -> str:
        return reverse(f"{self.admin_site.name}:live_overview_{view}")

    def _rows(self, survey: Survey) -> list[Row]:
        listed = [(client, report.node) for report in survey.nodes for client in report.listed]
        listed.sort(key=lambda pair: (-pair[0].queue_bytes, -pair[0].since))
        del listed[MAX_CLIENTS:]
        people = _users({client.user for client, _ in listed})
        rows = []
        for client, node in listed:
            person = people.get(client.user)
            since = datetime.fromtimestamp(client.since, UTC)
            rows.append(Row(client, node, since, str(person or client.user), self._user_url(person)))
        return rows

    def _user_url(self, person: Any) -> str:
        if person is None:
            return ""
        try:
            return reverse(
                f"{self.admin_site.name}:{person._meta.app_label}_{person._meta.model_name}_change", args=[person.pk]
            )
        except NoReverseMatch:
            return ""


def _text(request: HttpRequest, name: str) -> str:
    # PostgreSQL raises for a NUL.
    return request.GET.get(name, "").replace("\0", "").strip()[:MAX_TEXT]


def _survey(ids: tuple[str, ...], problems: list[str]) -> Survey:
    """What the nodes have, and of their clients those that are, or whose users are, among `ids`; (): all.

    Only this node where the others cannot be asked, and then `problems` says so.
    """
    wanted = Wanted(MAX_CLIENTS, ids)

    async def ask(node: Node) -> Survey:
        try:
            return await node.survey(wanted=wanted)
        except EngineUnavailable as error:
            problems.append(f"Only this process is shown: {error}.")
            return Survey([node.report(None, wanted)])

    try:
        return runtime.run(ask)
    except EngineUnavailable as error:
        problems.append(f"The nodes cannot be asked: {error}.")
        return Survey([])


def _busiest(problems: list[str]) -> list[LiveChannel]:
    try:
        channels = run(active_channels)
    except EngineUnavailable as error:
        problems.append(f"The channels cannot be read: {error}.")
        return []
    return sorted(channels, key=lambda each: (-each.minute_rate, -each.subscribers))[:MAX_CHANNELS]


def _matching(query: str) -> tuple[str, ...]:
    """The ids that a search means: what was typed, and the users whose name contains it; () without a search."""
    if not query:
        return ()
    model = get_user_model()
    condition = {f"{model.USERNAME_FIELD}__icontains": query}
    try:
        keys = list(model._default_manager.filter(**condition).values_list("pk", flat=True)[:MAX_USERS])
    except FieldError:
        # A name that is no text, but points to another model.
        keys = []
    return (query, *map(str, keys))


def _users(ids: Collection[str]) -> dict[str, Any]:
    """The users of these ids, by id; without those that are gone or never were in the database."""
    wanted = [each for each in ids if each]
    if not wanted:
        return {}
    try:
        found = get_user_model()._default_manager.filter(pk__in=wanted)
        return {str(user.pk): user for user in found}
    except (TypeError, ValueError, ValidationError, OverflowError):
        # Clients may have users of another kind than Django's.
        return {}
