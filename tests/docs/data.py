"""Blocks of JSON, TOML and YAML: answers of the site, and what other programs are told, done in their place."""

import base64
import gzip
import json
import re
import tomllib

import yaml
from websockets.sync.client import connect

from live.metrics.collector import COUNTERS, GAUGES
from tests.docs.pages import ROOT
from tests.docs.programs import on_the_site
from tests.docs.shell import expand

LINE = "cpu,host=a usage=1.5"
METRICS_TOKEN = "of-the-metrics-0123456789"


def only(table, *names):
    """The value of a table that has that one key, and so on."""
    for name in names:
        ((found, table),) = table.items()
        assert found == name
    return table


# JSON


def check_json(block, reader):
    """The answer to the request before it, by its shape; or the options of a compiler, which tests/embedding tries."""
    shown = json.loads(block.text)
    if "compilerOptions" in shown:
        assert shown["compilerOptions"]["strict"] is True
        return
    assert reader.answer is not None, "no request was answered before it"
    compare(shown, reader.answer, "answer")
    reader.answer = None


def compare(shown, real, where):
    """Fails where the page shows other keys or types than there are; ``{"...": "..."}`` stands for any object."""
    assert kind_of(shown) == kind_of(real), f"{where} is {real!r}"
    if isinstance(shown, dict) and shown != {"...": "..."}:
        assert set(shown) == set(real), where
        for key, value in shown.items():
            compare(value, real[key], f"{where}.{key}")
    elif isinstance(shown, list):
        for value in shown:
            assert real, f"{where} is empty"
            compare(value, real[0], f"{where}[0]")


def kind_of(value):
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


# TOML


def check_toml(block, reader):
    """What Telegraf is told is done in its place; an entry point and settings of pytest are where they are read."""
    tables = tomllib.loads(block.text)
    if "outputs" in tables:
        telegraf(tables, reader)
    elif "project" in tables:
        # Which plugins it brings is seen in tests/plugins.
        only(tables, "project", "entry-points", "live.plugins")
    else:
        # Which tests they serve is seen in tests/testing.
        assert only(tables, "tool", "pytest", "ini_options")["DJANGO_SETTINGS_MODULE"]


def telegraf(tables, reader):
    """Inputs that the demo has as well, times, and outputs each of which pushes once."""
    assert set(tables) <= {"agent", "inputs", "outputs"}
    assert set(tables.get("agent", ())) <= AGENT
    assert set(tables.get("inputs", ())) <= set(tomllib.loads((ROOT / "deploy/telegraf.conf").read_text())["inputs"])
    for name, outputs in tables["outputs"].items():
        for output in outputs:
            OUTPUTS[name](output, reader)


AGENT = {"interval", "flush_interval", "round_interval", "metric_batch_size", "metric_buffer_limit"}
"""Options of Telegraf's agent that pages use."""


def headers_of(output, reader):
    """The headers, with the token in place of the variable."""
    return {name: expand(value, reader.variables) for name, value in output["headers"].items()}


def push_by_http(output, reader):
    """As outputs.http: status 200."""
    assert output.pop("method", "POST") == "POST"
    assert output.pop("data_format") == "influx"
    # What can never be accepted, as docs/ingest.md lists it.
    assert output.pop("non_retryable_statuscodes") == [400, 413, 415]
    headers, body = headers_of(output, reader), LINE.encode()
    if output.pop("content_encoding", "") == "gzip":
        headers["Content-Encoding"], body = "gzip", gzip.compress(body)
    path = path_of(output.pop("url"), reader)
    assert set(output) - {"timeout"} == {"headers"}
    assert reader.site.request("POST", path, body, **headers) == (200, b"")


def push_by_websocket(output, reader):
    """As outputs.websocket: a wrong line is answered, a good one is not."""
    assert set(output) == {"url", "data_format", "headers"}
    address = on_the_site(output["url"], reader).replace("http:", "ws:", 1)
    with connect(address, additional_headers=headers_of(output, reader)) as socket:
        socket.send(LINE)
        socket.send("nonsense")
        answer = json.loads(socket.recv(timeout=20))
    assert answer["errors"][0]["line"] == 1


def push_to_influxdb_v2(output, reader):
    """As outputs.influxdb_v2: status 204."""
    (url,), token = output["urls"], expand(output["token"], reader.variables)
    path = f"{path_of(url, reader)}/api/v2/write?bucket={output['bucket']}&org={output['organization']}"
    assert reader.site.request("POST", path, LINE, Authorization=f"Token {token}") == (204, b"")


def push_to_influxdb_v1(output, reader):
    """As outputs.influxdb: status 204."""
    (url,), password = output["urls"], expand(output["password"], reader.variables)
    credentials = base64.b64encode(f"{output['username']}:{password}".encode()).decode()
    path = f"{path_of(url, reader)}/write?db={output['database']}"
    assert reader.site.request("POST", path, LINE, Authorization=f"Basic {credentials}") == (204, b"")


def path_of(url, reader):
    return on_the_site(url, reader).removeprefix(reader.site.url)


OUTPUTS = {
    "http": push_by_http,
    "websocket": push_by_websocket,
    "influxdb_v2": push_to_influxdb_v2,
    "influxdb": push_to_influxdb_v1,
}

# YAML


class Loader(yaml.SafeLoader):
    """Reads Home Assistant's `!secret`, too."""


Loader.add_constructor("!secret", lambda loader, node: "${LIVE_TOKEN}")


def check_yaml(block, reader):
    """A file of Prometheus, or what Home Assistant is told, by its first key."""
    ((kind, value),) = yaml.load(block.text, Loader).items()
    YAML[kind](value, reader)


def scrape(jobs, reader):
    """Prometheus asks for /metrics unless it is told otherwise, with a token of the kind that the view takes."""
    for job in jobs:
        assert set(job) == {"job_name", "authorization", "static_configs"}
        assert set(job["authorization"]) == {"credentials_file"}
        ((targets,),) = (config.values() for config in job["static_configs"])
        assert all(re.fullmatch(r"[\d.]+:\d+", target) for target in targets)
    headers = {"Authorization": f"Bearer {METRICS_TOKEN}"}
    status, body = reader.site.request("GET", "/metrics", **headers)
    assert status == 200
    assert b"live_clients" in body


def alert(groups, reader):
    """What the expressions name is in the metrics of the site."""
    _, body = reader.site.request("GET", "/metrics", Authorization=f"Bearer {METRICS_TOKEN}")
    there = set(re.findall(r"^(\w+)", body.decode(), re.MULTILINE))
    assert {name.removesuffix("_total") for name in there} >= {*GAUGES}
    for rule in (rule for group in groups for rule in group["rules"]):
        assert set(rule) <= {"alert", "expr", "for", "annotations"}
        assert set(rule["annotations"]) == {"summary"}
        named = set(re.findall(r"\b(?:live|process)_\w+", rule["expr"]))
        # A counter is there when it has counted; its name is the collector's all the same.
        counters = {f"{name}_total" for name in COUNTERS} | {"live_delivery_seconds_bucket"}
        assert named
        assert named <= there | counters, rule["expr"]


def home_assistant(options, reader):
    """Version 2 of InfluxDB, at the path that is given."""
    assert options["api_version"] == 2
    scheme = {True: "https", False: "http"}[options["ssl"]]
    url = f"{scheme}://{options['host']}{options['path']}"
    push_to_influxdb_v2({**options, "urls": [url]}, reader)


YAML = {"scrape_configs": scrape, "groups": alert, "influxdb": home_assistant}
