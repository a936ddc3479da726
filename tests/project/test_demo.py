"""The demo's seed, pages and admin."""

import json

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.urls import reverse
from rest_framework.authtoken.models import Token

from project.dashboards.models import Dashboard
from project.dashboards.panels import validate_panels

from .conftest import make_panel


def test_seeding_makes_a_user_a_token_and_valid_dashboards(db, capsys):
    call_command("seed_demo")
    assert capsys.readouterr().out == ""
    user = User.objects.get(username="demo")
    assert user.check_password("demo")
    assert not user.is_staff
    granted = {
        "live.push",
        "dashboards.add_dashboard",
        "dashboards.change_dashboard",
        "dashboards.delete_dashboard",
        "dashboards.view_dashboard",
        "sources.view_datasource",
    }
    assert granted == user.get_all_permissions()
    assert Token.objects.filter(user=user).count() == 1
    assert Dashboard.objects.count() == 2
    for dashboard in Dashboard.objects.all():
        validate_panels(dashboard.panels)


def test_seeding_again_changes_nothing_a_person_changed(db, capsys):
    call_command("seed_demo")
    user = User.objects.get(username="demo")
    user.set_password("other")
    user.save()
    token = Token.objects.get(user=user).key
    Dashboard.objects.filter(uid="machine").update(title="Mine", version=4)
    call_command("seed_demo", "--show-token")
    assert capsys.readouterr().out == f"{token}\n"
    user.refresh_from_db()
    assert user.check_password("other")
    assert Dashboard.objects.get(uid="machine").title == "Mine"
    assert Dashboard.objects.count() == 2


def page_config(response):
    """What the page gives its script."""
    text = response.content.decode()
    start = text.index('<script id="page-config"')
    return json.loads(text[text.index(">", start) + 1 : text.index("</script>", start)])


@pytest.mark.parametrize("path", ["/", "/d/first", "/explore", "/accounts/login/"])
def test_pages_allow_nothing_inline(client, dashboard, path):
    client.logout()
    response = client.get(path)
    assert response.status_code == 200
    policy = response.headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert " style=" not in response.content.decode()


def test_a_title_cannot_break_out_of_the_page(client, dashboard):
    Dashboard.objects.filter(uid="first").update(title="</script><img src=x onerror=alert(1)>")
    response = client.get("/d/first")
    assert "<img src=x" not in response.content.decode()
    assert page_config(response)["dashboard"]["title"].startswith("</script>")


def test_the_page_says_what_its_visitor_may(client, dashboard):
    assert page_config(client.get("/d/first"))["may"] == {"add": True, "change": True, "delete": True}
    client.logout()
    response = client.get("/d/first")
    assert page_config(response)["may"] == {"add": False, "change": False, "delete": False}
    assert 'id="edit"' not in response.content.decode()


def test_live_switched_off_is_in_the_page(client, dashboard, settings):
    assert page_config(client.get("/d/first"))["live"]["enabled"] is True
    settings.LIVE = {**settings.LIVE, "MAX_CONNECTIONS": 0}
    assert page_config(client.get("/d/first"))["live"]["enabled"] is False


def test_an_unknown_dashboard_is_404(client, db):
    response = client.get("/d/unknown")
    assert response.status_code == 404
    assert b"There is nothing here" in response.content


def test_the_login_page_does_not_redirect_elsewhere(client, editor):
    editor.set_password("secret")
    editor.save()
    client.logout()
    data = {"username": "editor", "password": "secret", "next": "https://example.com/"}
    assert client.post("/accounts/login/", data).headers["Location"] == "/"


@pytest.fixture
def admin(client):
    user = User.objects.create_superuser("root", password="root")
    client.force_login(user)
    return client


def test_a_save_in_the_admin_raises_the_version_and_is_announced(admin, dashboard, events):
    url = reverse("admin:dashboards_dashboard_change", args=[dashboard.pk])
    assert admin.get(url).status_code == 200
    data = {"title": "By admin", "panels": json.dumps([make_panel()]), "loaded_version": 1}
    assert admin.post(url, data).status_code == 302
    dashboard.refresh_from_db()
    assert (dashboard.title, dashboard.version, dashboard.updated_by.username) == ("By admin", 2, "root")
    assert [(event["action"], event["version"]) for event in events] == [("saved", 2)]


def test_a_stale_form_in_the_admin_is_refused(admin, dashboard):
    Dashboard.objects.filter(uid="first").update(version=2)
    url = reverse("admin:dashboards_dashboard_change", args=[dashboard.pk])
    response = admin.post(url, {"title": "By admin", "panels": "[]", "loaded_version": 1})
    assert response.status_code == 200
    assert b"Somebody saved this dashboard meanwhile" in response.content
    dashboard.refresh_from_db()
    assert dashboard.title == "First"


def test_the_admin_checks_panels_and_adds_and_deletes(admin, db, events):
    url = reverse("admin:dashboards_dashboard_add")
    response = admin.post(url, {"title": "New", "panels": '[{"id": "x"}]'})
    assert b"is missing" in response.content
    assert admin.post(url, {"title": "New", "panels": "[]"}).status_code == 302
    dashboard = Dashboard.objects.get(title="New")
    assert (
        admin.post(reverse("admin:dashboards_dashboard_delete", args=[dashboard.pk]), {"post": "yes"}).status_code
        == 302
    )
    action = {"action": "delete_selected", "_selected_action": [Dashboard.objects.create(title="x").pk], "post": "yes"}
    assert admin.post(reverse("admin:dashboards_dashboard_changelist"), action).status_code == 302
    assert not Dashboard.objects.exists()
    assert [event["action"] for event in events] == ["saved", "deleted", "saved", "deleted"]
