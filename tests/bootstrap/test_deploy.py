"""The files for containers: they parse, name only what exists, and agree with each other."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def compose() -> dict:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


def test_compose_mounts_files_that_exist(compose: dict) -> None:
    for service in compose["services"].values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in compose["volumes"] or (ROOT / source).is_file(), volume
    assert (ROOT / compose["services"]["web"]["build"] / "Dockerfile").is_file()


def test_telegraf_waits_for_a_healthy_site(compose: dict) -> None:
    assert compose["services"]["telegraf"]["depends_on"] == {"web": {"condition": "service_healthy"}}
    assert compose["services"]["web"]["healthcheck"]["test"][0] == "CMD"


def test_telegraf_pushes_what_the_demo_shows(compose: dict) -> None:
    config = tomllib.loads((ROOT / "deploy/telegraf.conf").read_text())
    assert set(config["inputs"]) == {"cpu", "mem", "disk", "net", "system"}
    (output,) = config["outputs"]["http"]
    assert output["data_format"] == "influx"
    assert output["non_retryable_statuscodes"] == [400, 413, 415]
    variables = set(re.findall(r"\$\{(\w+)\}", (ROOT / "deploy/telegraf.conf").read_text()))
    assert variables == set(compose["services"]["telegraf"]["environment"])
    assert compose["services"]["telegraf"]["environment"]["LIVE_PUSH_URL"].endswith("/api/live/push/host")


def test_the_dockerfile_copies_what_exists_and_is_not_ignored() -> None:
    text = (ROOT / "Dockerfile").read_text()
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert source not in ignored


def test_the_container_runs_as_nobody_special_with_a_long_backlog() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert "\nUSER live\n" in text
    assert "backlog=1024" in text
    assert "exec python -m daphne" in text
