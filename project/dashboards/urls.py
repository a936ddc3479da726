"""Addresses of the dashboards app: the pages and their API."""

from django.urls import include, path
from rest_framework.routers import SimpleRouter

from . import api, views

app_name = "dashboards"

router = SimpleRouter()
router.register("dashboards", api.DashboardViewSet, basename="api")

urlpatterns = [
    path("", views.DashboardListView.as_view(), name="list"),
    path("d/<slug:uid>", views.DashboardView.as_view(), name="dashboard"),
    path("explore", views.ExploreView.as_view(), name="explore"),
    path("api/", include(router.urls)),
]
