"""The pages: thin shells around ES modules. What a page's script must know travels in one `json_script` element."""

from django.conf import settings
from django.contrib.auth.views import LoginView
from django.http import Http404
from django.shortcuts import render
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.generic import DetailView, ListView, TemplateView

from .models import Dashboard
from .panels import COLUMNS, MAX_HEIGHT, MAX_PANELS, MAX_ROW
from .serializers import DashboardSerializer


def content_security_policy(host):
    """Return a policy without inline scripts or styles; `'self'` does not name WebSockets in every browser."""
    return (
        f"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        f"connect-src 'self' ws://{host} wss://{host}; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )


@method_decorator(ensure_csrf_cookie, name="dispatch")
class Page:
    """What every page has: a strict content security policy and the configuration of its script."""

    def dispatch(self, request, *args, **kwargs):
        response = super().dispatch(request, *args, **kwargs)
        response["Content-Security-Policy"] = content_security_policy(request.get_host())
        return response

    def get_context_data(self, **kwargs):
        return super().get_context_data(config=self.config(), **kwargs)

    def config(self):
        """Return what the page's script must know, as JSON-able data."""
        user = self.request.user
        return {
            "live": {
                "enabled": settings.LIVE.get("MAX_CONNECTIONS") != 0,
                "listUrl": reverse("live:list"),
                "publishUrl": reverse("live:publish"),
            },
            "user": user.get_username(),
            "api": reverse("dashboards:api-list"),
            "pages": {"list": reverse("dashboards:list"), "dashboard": reverse("dashboards:dashboard", args=["UID"])},
            "loginUrl": reverse("login"),
            "may": {
                "add": user.has_perm("dashboards.add_dashboard"),
                "change": user.has_perm("dashboards.change_dashboard"),
                "delete": user.has_perm("dashboards.delete_dashboard"),
            },
        }


class DashboardListView(Page, ListView):
    """All dashboards, with a small drawing of each layout."""

    queryset = Dashboard.objects.select_related("updated_by")
    paginate_by = 48
    template_name = "dashboards/list.html"
    extra_context = {"section": "dashboards"}


class DashboardView(Page, DetailView):
    """One dashboard; its state is in the page, so that the first paint needs no further request."""

    queryset = Dashboard.objects.select_related("updated_by")
    slug_field = slug_url_kwarg = "uid"
    template_name = "dashboards/dashboard.html"
    extra_context = {"section": "dashboards"}

    def get(self, request, *args, **kwargs):
        try:
            return super().get(request, *args, **kwargs)
        except Http404:
            # Also with DEBUG, as in the demo: a deleted dashboard is nothing to debug.
            return render(request, "404.html", status=404)

    def config(self):
        limits = {"columns": COLUMNS, "rows": MAX_ROW, "height": MAX_HEIGHT, "panels": MAX_PANELS}
        dashboard = DashboardSerializer(self.object).data
        return {**super().config(), "dashboard": dashboard, "limits": limits}


class ExploreView(Page, TemplateView):
    """All channels with their rates; of one the chart and the raw messages, and a form to publish to it."""

    template_name = "dashboards/explore.html"
    extra_context = {"section": "explore"}


class SignInView(Page, LoginView):
    """The login page in the site's own clothes."""

    redirect_authenticated_user = True
