"""The OpenAPI document: valid without a warning, complete, and made only where drf-spectacular is installed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from live.api import urls

ROOT = Path(__file__).resolve().parent.parent.parent
SETTINGS = "tests.api.schema_settings"
TOKENS = [{"liveToken": []}, {"liveBearer": []}]
SESSION = [{"liveSession": []}]


def django(folder, *arguments, settings=SETTINGS, code=None):
    """Runs manage.py, or `code`, in a process of its own, as these settings cannot share one with other tests."""
    command = [sys.executable, "-c", code] if code else [sys.executable, "manage.py", *arguments]
    env = {**os.environ, "LIVE_VAR": str(folder), "DJANGO_SETTINGS_MODULE": settings}
    return subprocess.run(command, cwd=ROOT, env=env, check=False, capture_output=True, text=True, timeout=50)


@pytest.fixture(scope="module", params=["3.0.3", "3.1.0"])
def document(tmp_path_factory, request):
    """The document; made with warnings as errors, and checked against OpenAPI's own schema."""
    folder = tmp_path_factory.mktemp("schema")
    os.environ["LIVE_TEST_OAS"] = request.param
    try:
        done = django(folder, "spectacular", "--validate", "--fail-on-warn", "--format", "openapi-json")
    finally:
        del os.environ["LIVE_TEST_OAS"]
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert document["openapi"] == request.param
    return document


def operations(document):
    """Every operation by its path and method."""
    return {
        (path, method): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def test_every_view_is_described(document):
    described = {operation["operationId"] for operation in operations(document).values()}

    assert {"live_push", "live_list", "live_info", "live_nodes", "live_publish"} <= described
    assert len(document["paths"]) == len(urls.urlpatterns)
    assert all(operation["summary"] and operation["tags"] == ["live"] for operation in operations(document).values())


def test_who_may_is_said(document):
    schemes = document["components"]["securitySchemes"]

    assert schemes["liveToken"]["in"] == "header"
    assert schemes["liveBearer"]["scheme"] == "bearer"
    assert schemes["liveSession"]["name"] == "sessionid"
    assert "X-Csrftoken" in schemes["liveSession"]["description"]
    for operation_id in ("live_push", "live_list", "live_info", "live_nodes", "live_publish"):
        (found,) = (each for each in operations(document).values() if each["operationId"] == operation_id)
        assert found["security"] == TOKENS + SESSION


ANSWERS = {
    ("/api/live/list", "get"): {"200", "401", "503"},
    ("/api/live/info/{channel}", "get"): {"200", "400", "401", "403", "404", "503"},
    ("/api/live/nodes", "get"): {"200", "401", "403", "503"},
    ("/api/live/publish", "post"): {"200", "400", "401", "403", "404", "411", "413", "415", "503"},
}


@pytest.mark.parametrize("operation", ANSWERS, ids=str)
def test_every_answer_is_said(document, operation):
    answers = operations(document)[operation]["responses"]

    assert set(answers) == ANSWERS[operation]
    for status, answer in answers.items():
        body = answer["content"]["application/json"]["schema"]
        assert body.get("title") == "Error" or status == "200"
    assert "Retry-After" in answers["503"]["headers"]


def test_the_answers_of_a_push_are_said(document):
    push = operations(document)["/api/live/push/{stream_id}", "post"]

    assert set(push["responses"]) >= {"200", "400", "401", "403", "413", "415", "503"}
    assert {parameter["name"] for parameter in push["parameters"]} >= {"stream_id", "precision", "partial"}
    wrong = push["responses"]["400"]["content"]["application/json"]["schema"]["properties"]
    assert set(wrong["errors"]["items"]["properties"]) == {"line", "reason", "text"}
    assert set(push["requestBody"]["content"]) >= {"text/plain"}


def test_influx_has_its_own_errors(document):
    for version, name in (("api/v2/", "code"), ("", "error")):
        write = operations(document)[f"/api/live/influx/{version}write", "post"]
        assert "content" not in write["responses"]["204"]
        wrong = write["responses"]["400"]["content"]["application/json"]["schema"]
        assert name in wrong["required"]
        assert write["security"] == TOKENS


def test_one_publication_or_a_list_of_them(document):
    publish = operations(document)["/api/live/publish", "post"]
    one, many = publish["requestBody"]["content"]["application/json"]["schema"]["oneOf"]

    assert one["required"] == ["channel", "data"]
    assert (many["items"], many["maxItems"]) == (one, 100)
    assert len(publish["responses"]["200"]["content"]["application/json"]["schema"]["oneOf"]) == 2


def test_nothing_of_it_is_needed(tmp_path):
    """Without the package the URLs load, and with the package but without the app nothing of it is imported."""
    code = (
        "import sys\n"
        "if {hide}: sys.modules['drf_spectacular'] = None\n"
        "import django; django.setup()\n"
        "from django.urls import reverse\n"
        "print(reverse('live:list'), 'live.api.schema' in sys.modules)"
    )
    for hide in (True, False):
        done = django(tmp_path, settings="tests.settings", code=code.format(hide=hide))
        assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "/api/live/list False", "")
