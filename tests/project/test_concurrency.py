"""Many editors at the same moment, over HTTP against a real site: exactly one wins, nothing is lost."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.visitors import DemoSite

EDITORS = 8


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    site = DemoSite(tmp_path_factory.mktemp("site"))
    try:
        yield site.open()
    finally:
        site.close()


@pytest.fixture
def dashboard(site):
    return site.login().request("POST", "/api/dashboards/", {"title": "Start", "panels": []})[1]


def test_of_simultaneous_saves_of_one_version_one_wins(site, dashboard):
    visitors = [site.login() for _ in range(EDITORS)]
    path = f"/api/dashboards/{dashboard['uid']}/"

    def save(number):
        return visitors[number].request("PUT", path, {"title": f"Editor {number}", "panels": [], "version": 1})

    with ThreadPoolExecutor(EDITORS) as pool:
        answers = list(pool.map(save, range(EDITORS)))
    assert sorted(status for status, _ in answers) == [200] + [409] * (EDITORS - 1)
    winner = next(body for status, body in answers if status == 200)
    stored = visitors[0].request("GET", path)[1]
    assert stored == winner
    assert stored["version"] == 2
    assert all(body["current"] == winner for status, body in answers if status == 409)


def test_editors_who_retry_all_get_in_and_no_version_is_used_twice(site, dashboard):
    path = f"/api/dashboards/{dashboard['uid']}/"

    def add_panel(number):
        visitor = site.login()
        panel = {
            "id": f"p{number}",
            "type": "raw",
            "title": "",
            "channel": "stream/a/b",
            "fields": [],
            "grid": {"x": 0, "y": number, "w": 1, "h": 1},
        }
        _, current = visitor.request("GET", path)
        for _ in range(50):
            body = {"panels": [*current["panels"], panel], "version": current["version"]}
            status, answer = visitor.request("PATCH", path, body)
            if status == 200:
                return answer["version"]
            assert status == 409
            current = answer["current"]
        raise AssertionError("never got in")

    with ThreadPoolExecutor(4) as pool:
        versions = list(pool.map(add_panel, range(EDITORS)))
    assert sorted(versions) == list(range(2, EDITORS + 2))
    stored = site.login().request("GET", path)[1]
    assert {panel["id"] for panel in stored["panels"]} == {f"p{number}" for number in range(EDITORS)}
