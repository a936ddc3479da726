"""``/metrics``: what a scrape says after things happened on a real site, who may ask, and the dashboard over it."""

import gzip
import json
import re
import sys
import urllib.request
from pathlib import Path

import pytest
import websockets
from django.contrib.auth.models import User
from django.test import override_settings
from prometheus_client import CollectorRegistry, Gauge, openmetrics, start_http_server
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from live.conf import find_problems
from live.exceptions import DisconnectCode, EngineUnavailable
from live.handlers.registry import BUILT_IN
from live.metrics import MetricsView, collector
from live.metrics.views import MISSING
from tests.peers import eventually
from tests.site import Site

ROOT = Path(__file__).resolve().parent.parent
DASHBOARD = ROOT / "deploy" / "grafana-dashboard.json"

DOCUMENTATION = (ROOT / "docs" / "monitoring.md").read_text()
HANDLER = "live.handlers.broadcast.BroadcastHandler"

TOKEN = "scrape-me"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
WITH_TOKEN = override_settings(LIVE={"METRICS_TOKEN": TOKEN})

# As Prometheus 2.55 sends it.
PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)

LABELS = {
    "live_clients": set(),
    "live_clients_opening": set(),
    "live_subscriptions": set(),
    "live_channels": set(),
    "live_queue_bytes": set(),
    "live_plugin_runs": set(),
    "live_relay_up": set(),
    "live_publications_total": {"scope"},
    "live_deliveries_total": {"scope"},
    "live_disconnects_total": {"code"},
    "live_refused_total": {"reason"},
    "live_push_lines_total": {"result"},
    "live_plugin_restarts_total": {"plugin"},
    "live_delivery_seconds_bucket": {"le"},
    "live_delivery_seconds_count": set(),
    "live_delivery_seconds_sum": set(),
}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    site = Site(tmp_path_factory.mktemp("site"), METRICS_TOKEN=TOKEN)
    site.prepare()
    site.start()
    yield site
    site.stop()
    assert "Traceback" not in site.log


class Scrape:
    """One answer: `scrape("live_refused_total", reason="origin")` is a value, None where there is none."""

    def __init__(self, site, **headers):
        status, body = site.request("GET", "/metrics", **BEARER, **headers)
        assert status == 200, body
        self.samples = [sample for family in read_text(body.decode()) for sample in family.samples]

    def __call__(self, name, **labels):
        found = [sample.value for sample in self.samples if (sample.name, sample.labels) == (name, labels)]
        assert len(found) < 2
        return found[0] if found else None

    def values(self, name, label):
        """The values of one metric by the value of its one label."""
        return {sample.labels[label]: sample.value for sample in self.samples if sample.name == name}

    def labels(self):
        """The label names of every metric of ours."""
        found = {}
        for sample in self.samples:
            if sample.name.startswith("live_"):
                found.setdefault(sample.name, set()).update(sample.labels)
        return found


# What it says


async def test_a_scrape_tells_what_happened(site):
    before = Scrape(site)
    assert before("live_clients") == before("live_subscriptions") == before("live_channels") == 0

    async with site.connect() as one, site.connect() as two:
        for peer in (one, two):
            assert "subscribe" in await peer.subscribe("stream/counted/cpu")
        await one.subscribe("stream/counted/mem")
        assert site.push("counted", "cpu a=1\nmem a=2\ncpu a=3 1000")[0] == 200
        assert site.push("counted?partial=1", "cpu a=1\nthis is none")[0] == 200
        for peer, count in ((one, 3), (two, 2)):
            for _ in range(count):
                await peer.publication()
        during = Scrape(site)

        def grown(name, **labels):
            return during(name, **labels) - (before(name, **labels) or 0)

        assert during("live_clients") == 2
        assert during("live_subscriptions") == 3
        assert during("live_channels") == 2
        assert during("live_relay_up") == 1
        assert grown("live_publications_total", scope="stream") == 3
        assert grown("live_deliveries_total", scope="stream") == 5
        assert grown("live_push_lines_total", result="accepted") == 4
        assert grown("live_push_lines_total", result="rejected") == 1
        assert grown("live_delivery_seconds_count") >= 1
        assert 0 < grown("live_delivery_seconds_sum") < 5
        assert during("live_queue_bytes") is not None

        await one.send("no json")
        assert (await one.closed())[0] == 3501
        await eventually(lambda: Scrape(site)("live_clients") == 1)
        assert Scrape(site)("live_disconnects_total", code="3501") == 1
    await eventually(lambda: Scrape(site)("live_clients") == 0)
    after = Scrape(site)
    assert after("live_subscriptions") == after("live_channels") == after("live_queue_bytes") == 0


async def test_a_socket_counts_apart_until_it_has_connected(site):
    async with site.connect(hello=False) as peer:
        await eventually(lambda: Scrape(site)("live_clients_opening") == 1)
        assert Scrape(site)("live_clients") == 0
        await peer.ask({"connect": {}})
        during = Scrape(site)
        assert (during("live_clients"), during("live_clients_opening")) == (1, 0)
    await eventually(lambda: Scrape(site)("live_clients") == 0)


async def test_what_is_refused_is_counted_by_its_reason(site):
    before = Scrape(site)("live_refused_total", reason="origin")
    with pytest.raises(Exception, match="403"):
        async with site.connect(headers={"Origin": "https://evil.example"}):
            pass
    assert Scrape(site)("live_refused_total", reason="origin") == before + 1


async def test_nothing_has_a_channel_for_a_label(site):
    async with site.connect() as peer:
        await peer.subscribe("stream/secret-name/cpu")
        site.push("secret-name", "cpu a=1")
        await peer.publication()
        scrape = Scrape(site)
    assert scrape.labels() == LABELS
    assert not [sample for sample in scrape.samples if "secret-name" in str(sample.labels)]


def test_what_is_known_beforehand_is_there_before_the_first(tmp_path_factory):
    fresh = Site(tmp_path_factory.mktemp("fresh"), METRICS_TOKEN=TOKEN, HANDLERS={"chat": HANDLER, "chat/b": HANDLER})
    fresh.start()
    try:
        scrape = Scrape(fresh)
    finally:
        fresh.stop()
    scopes = {"chat", *(key.partition("/")[0] for key in BUILT_IN)}
    for name in ("live_publications_total", "live_deliveries_total"):
        assert scrape.values(name, "scope") == dict.fromkeys(scopes, 0)
    assert scrape.values("live_disconnects_total", "code") == {str(int(code)): 0 for code in DisconnectCode}
    assert scrape.values("live_refused_total", "reason") == dict.fromkeys(collector.REASONS, 0)
    assert scrape.values("live_push_lines_total", "result") == {"accepted": 0, "rejected": 0}


def test_no_reason_is_counted_that_is_not_known_beforehand():
    code = "".join(path.read_text() for path in (ROOT / "live").rglob("*.py"))
    counted = re.findall(r"(?:count_refused\(|refused\[)\"(\w+)\"", code)
    assert set(counted) == set(collector.REASONS)


WIDE_ROW = "wide a=" + ",b=".join(f'"{letter * 300_000}"' for letter in "xy")


@pytest.mark.parametrize(
    ("stream_id", "body", "status", "accepted", "rejected"),
    [
        ("l", "a x=1\nb x=1\n", 200, 2, 0),
        ("l", "a x=1\n\n # a comment\r\n  b x=1\r\nthis is none\n", 400, 0, 3),
        ("l", "bad\n" * 50, 400, 0, 50),
        ("l?partial=1", "a x=1\nthis is none\nb x=2", 200, 2, 1),
        ("l?partial=1", "this is none\nnor this", 400, 0, 2),
        ("l", "m x=1\n" + WIDE_ROW, 413, 0, 2),
        ("l", "m x=1\n" + "m x=1\n" * 20 + "bad\n" * 2000, 400, 0, 2021),
        ("l", "\n" * 200_001, 400, 0, 200_001),
        ("l?precision=h", "a x=1", 400, 0, 0),
        ("l", "", 200, 0, 0),
        ("l", "# nothing\n", 200, 0, 0),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_every_line_that_was_read_counts_once(site, stream_id, body, status, accepted, rejected):
    before = Scrape(site)
    assert site.push(stream_id, body)[0] == status
    after = Scrape(site)
    for result, lines in (("accepted", accepted), ("rejected", rejected)):
        assert after("live_push_lines_total", result=result) - before("live_push_lines_total", result=result) == lines


def test_lines_in_gzip_count_too_and_nobody_s_lines_do_not(site):
    before = Scrape(site)
    assert site.push("l", gzip.compress(b"a x=1\nbad"), **{"Content-Encoding": "gzip"})[0] == 400
    assert site.push("l", b"no gzip\n", **{"Content-Encoding": "gzip"})[0] == 400
    assert site.push("l", "a x=1", token="wrong")[0] == 401
    after = Scrape(site)
    assert after.values("live_push_lines_total", "result") == {
        "accepted": before("live_push_lines_total", result="accepted"),
        "rejected": before("live_push_lines_total", result="rejected") + 2,
    }


async def test_lines_over_a_websocket_count_too(site):
    before = Scrape(site)
    url = f"ws://127.0.0.1:{site.port}/api/live/push/l"
    async with websockets.connect(url, additional_headers={"Authorization": f"Token {site.token}"}) as ws:
        await ws.send("a x=1\nb x=1\nthis is none")
        assert "line 3" in await ws.recv()
    assert (
        Scrape(site)("live_push_lines_total", result="rejected")
        == before("live_push_lines_total", result="rejected") + 3
    )


def test_the_process_itself_is_measured(site):
    scrape = Scrape(site)
    assert scrape("process_resident_memory_bytes") > 10e6
    assert scrape("process_open_fds") > 3
    assert scrape("process_cpu_seconds_total") > 0


def test_every_bucket_holds_those_before_it(site):
    scrape = Scrape(site)
    buckets = [sample.value for sample in scrape.samples if sample.name == "live_delivery_seconds_bucket"]
    assert buckets == sorted(buckets)
    assert buckets[-1] == scrape("live_delivery_seconds_count")


def test_prometheus_gets_openmetrics(client):
    with WITH_TOKEN:
        response = client.get("/metrics", headers={**BEARER, "Accept": PROMETHEUS})
    assert response["Content-Type"] == openmetrics.exposition.CONTENT_TYPE_LATEST
    families = {family.name: family for family in read_openmetrics(response.content.decode())}
    assert families["live_publications"].type == "counter"
    assert families["live_delivery_seconds"].type == "histogram"
    assert families["live_clients"].type == "gauge"


@pytest.mark.parametrize(
    "accept", ["", "*/*", "text/html", "application/json", 'text/plain;version=x;escaping="', ";,;"]
)
def test_others_get_the_plain_format(client, accept):
    with WITH_TOKEN:
        response = client.get("/metrics", headers={**BEARER, "Accept": accept})
    assert (response.status_code, response["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert "live_clients" in {family.name for family in read_text(response.content.decode())}


@pytest.mark.parametrize(
    "version", ["", ";version=", ";version=abc", ";version=99.0.0", ";version=1.0.0;escaping=nothing"]
)
def test_versions_that_do_not_exist_do_no_harm(client, version):
    with WITH_TOKEN:
        response = client.get("/metrics", headers={**BEARER, "Accept": f"application/openmetrics-text{version}"})
    assert (response.status_code, response["Content-Type"]) == (200, openmetrics.exposition.CONTENT_TYPE_LATEST)


def test_a_process_that_serves_nobody_says_nothing_of_its_relay(client):
    with WITH_TOKEN:
        text = client.get("/metrics", headers=BEARER).content.decode()
    assert "live_clients 0.0" in text
    assert "live_relay_up" not in text


# Who may ask


@WITH_TOKEN
@pytest.mark.parametrize("header", [f"Bearer {TOKEN}", f"bearer  {TOKEN} "])
def test_the_token_lets_in(client, header):
    response = client.get("/metrics", headers={"Authorization": header})
    assert (response.status_code, response["Cache-Control"]) == (200, "no-store")


@pytest.mark.parametrize("configured", [TOKEN, ""])
@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Bearer wrong", f"Token {TOKEN}", f"Bearer {TOKEN}x", "Bearer é"]
)
def test_anything_else_does_not(client, configured, header):
    with override_settings(LIVE={"METRICS_TOKEN": configured}):
        response = client.get("/metrics", headers={"Authorization": header} if header is not None else {})
    assert response.status_code == 401
    assert response["WWW-Authenticate"].startswith("Bearer")
    assert response["Cache-Control"] == "no-store"
    assert b"live_clients" not in response.content


def test_staff_may_and_other_users_may_not(client, db):
    client.force_login(User.objects.create_user("user"))
    assert client.get("/metrics").status_code == 403
    client.force_login(User.objects.create_user("staff", is_staff=True))
    assert client.get("/metrics").status_code == 200


def test_a_site_without_users(rf):
    assert MetricsView.as_view()(rf.get("/metrics")).status_code == 401
    with WITH_TOKEN:
        assert MetricsView.as_view()(rf.get("/metrics", headers=BEARER)).status_code == 200


def test_a_project_may_decide_otherwise(rf):
    class Inside(MetricsView):
        def allows(self, request):
            return request.META["REMOTE_ADDR"] == "10.0.0.1"

    assert Inside.as_view()(rf.get("/", REMOTE_ADDR="10.0.0.1")).status_code == 200
    assert Inside.as_view()(rf.get("/", REMOTE_ADDR="10.0.0.2")).status_code == 401


@WITH_TOKEN
def test_it_is_only_read(client):
    assert client.post("/metrics", headers=BEARER).status_code == 405
    response = client.head("/metrics", headers=BEARER)
    assert (response.status_code, response.content) == (200, b"")


def test_a_token_that_no_header_can_carry_is_found_and_not_shown():
    for token in ("has spaces", "tab\t", "ümlaut", 7):
        (problem,) = find_problems({"METRICS_TOKEN": token})
        assert str(token) not in problem.message


# What may be missing


@pytest.fixture
def without_package(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "prometheus_client"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "live.metrics.collector")
    monkeypatch.delattr("live.metrics.collector")


@WITH_TOKEN
def test_without_the_package_it_says_so(client, without_package):
    response = client.get("/metrics", headers=BEARER)
    assert (response.status_code, response.content.decode()) == (501, MISSING)
    assert client.get("/metrics").status_code == 401


@WITH_TOKEN
def test_a_node_that_does_not_answer(client, monkeypatch):
    def run(operation):
        raise EngineUnavailable("the node did not answer")

    monkeypatch.setattr(collector.runtime, "run", run)
    response = client.get("/metrics", headers=BEARER)
    assert (response.status_code, response["Retry-After"]) == (503, "5")


# Registries


def test_another_registry_gets_them_once():
    registry = CollectorRegistry()
    collector.register(registry)
    collector.register(registry)
    assert registry.get_sample_value("live_clients") == 0
    assert registry.get_sample_value("live_refused_total", {"reason": "busy"}) == 0


def test_on_a_port_of_their_own():
    registry = CollectorRegistry()
    collector.register(registry)
    server, thread = start_http_server(0, addr="127.0.0.1", registry=registry)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/", timeout=10) as response:
            assert b"live_clients 0.0" in response.read()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_name_that_is_taken_is_said():
    registry = CollectorRegistry()
    Gauge("live_clients", "The project's own.", registry=registry)
    with pytest.raises(ValueError, match="live_clients"):
        collector.register(registry)


# The dashboard


@pytest.fixture(scope="module")
def dashboard():
    return json.loads(DASHBOARD.read_text())


def panels(dashboard):
    """The panels that ask something."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def test_the_dashboard_can_be_imported(dashboard):
    assert dashboard["id"] is None
    assert re.fullmatch(r"[a-z0-9-]{1,40}", dashboard["uid"])
    assert dashboard["schemaVersion"] >= 39
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert sorted(set(numbers)) == sorted(numbers)
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    cells = [(x, y) for p in places for x in range(p["x"], p["x"] + p["w"]) for y in range(p["y"], p["y"] + p["h"])]
    assert len(cells) == len(set(cells)), "panels lie on each other"


def test_the_dashboard_takes_any_data_source(dashboard):
    variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
    assert (variables["datasource"]["type"], variables["datasource"]["query"]) == ("datasource", "prometheus")
    wanted = {"type": "prometheus", "uid": "${datasource}"}
    for name in ("job", "instance"):
        assert variables[name]["datasource"] == wanted
    for panel in panels(dashboard):
        assert panel["datasource"] == wanted
        assert all(target["datasource"] == wanted for target in panel["targets"])
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


def test_the_dashboard_asks_for_what_there_is(dashboard, site):
    exists = {sample.name: set(sample.labels) for sample in Scrape(site).samples} | LABELS
    asked = set()
    for panel in panels(dashboard):
        assert panel["title"]
        assert panel["description"]
        for target in panel["targets"]:
            query = target["expr"]
            selected = re.findall(r"\b((?:live|process|python)_\w+)\{([^}]*)\}", query)
            names = {name for name, _ in selected}
            assert names, query
            assert names <= set(exists), query
            assert len(selected) == len(re.findall(r"\b(?:live|process|python)_\w+", query)), query
            assert all('job=~"$job",instance=~"$instance"' in labels for _, labels in selected), query
            grouped = {each.strip() for by in re.findall(r"\bby \(([^)]*)\)", query) for each in by.split(",")}
            assert grouped <= {"instance", "job"}.union(*(exists[name] for name in names)), query
            asked |= names
    assert {name for name in LABELS if not name.endswith(("_sum", "_count"))} <= asked, "nobody looks at these"


def test_the_dashboard_s_variables_ask_for_what_there_is(dashboard):
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            names = re.findall(r"\blive_\w+", variable["query"]["query"])
            assert names
            assert set(names) <= set(LABELS)


# The documentation


def test_the_documentation_has_every_metric_with_its_label():
    rows = re.findall(r"^\| `(live_\w+)(?:\{(\w+)\})?` \| (?:gauge|counter|histogram)", DOCUMENTATION, re.MULTILINE)
    wanted = {name.removesuffix("_bucket"): labels - {"le"} for name, labels in LABELS.items()}
    wanted = {name: labels for name, labels in wanted.items() if not name.endswith(("_sum", "_count"))}
    assert {name: {label} - {""} for name, label in rows} == wanted


def test_the_alerts_ask_for_what_there_is(site):
    expressions = re.findall(r"^ +expr: (.+)$", DOCUMENTATION, re.MULTILINE)
    names = {name for each in expressions for name in re.findall(r"\b(?:live|process)_\w+", each)}
    assert len(expressions) >= 5
    assert names <= {sample.name for sample in Scrape(site).samples}
