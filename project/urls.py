"""The demo's URLs: the API and the metrics of `live`, the dashboards and Django's own pages."""

from django.contrib import admin
from django.contrib.auth.views import LogoutView
from django.urls import include, path

from live.metrics import MetricsView
from project.dashboards.views import SignInView

urlpatterns = [
    path("admin/", admin.site.urls),
    path("accounts/login/", SignInView.as_view(), name="login"),
    path("accounts/logout/", LogoutView.as_view(), name="logout"),
    path("metrics", MetricsView.as_view(), name="metrics"),
    path("api/live/", include("live.api.urls")),
    path("", include("project.dashboards.urls")),
]
