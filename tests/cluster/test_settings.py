"""The demo's channel layer from the environment."""

import json
import os
import subprocess
import sys

import pytest

from tests.site import ROOT

PUBSUB = "channels_redis.pubsub.RedisPubSubChannelLayer"


def layer(tmp_path, **environ):
    """The default channel layer of a process with these variables."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("LIVE_")}
    code = "import json; from project import settings; print(json.dumps(settings.CHANNEL_LAYERS['default']))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=env | {"LIVE_VAR": str(tmp_path)} | environ,
        capture_output=True,
        check=True,
        text=True,
    )
    return json.loads(done.stdout)


def test_without_redis_there_is_one_process(tmp_path):
    assert layer(tmp_path) == {"BACKEND": "channels.layers.InMemoryChannelLayer"}
    # As docker-compose.yml passes on what is not set.
    assert layer(tmp_path, LIVE_REDIS_URL="", LIVE_REDIS_SENTINELS="") == layer(tmp_path)


@pytest.mark.parametrize(
    ("environ", "hosts"),
    [
        ({"LIVE_REDIS_URL": "redis://a"}, ["redis://a"]),
        ({"LIVE_REDIS_URL": "redis://a, rediss://:x@b:1/2"}, ["redis://a", "rediss://:x@b:1/2"]),
        (
            {"LIVE_REDIS_SENTINELS": "a:1,[::1]:2", "LIVE_REDIS_URL": "redis://unused"},
            [{"sentinels": [["a", 1], ["::1", 2]], "master_name": "live"}],
        ),
        (
            {"LIVE_REDIS_SENTINELS": "a:1", "LIVE_REDIS_MASTER": "m", "LIVE_REDIS_PASSWORD": "p"},
            [{"sentinels": [["a", 1]], "master_name": "m", "password": "p"}],
        ),
    ],
)
def test_redis_as_the_environment_names_it(tmp_path, environ, hosts):
    made = layer(tmp_path, **environ)
    assert made == {"BACKEND": PUBSUB, "CONFIG": {"hosts": hosts, "prefix": "live-demo"}}


def test_two_sites_share_a_redis_by_their_prefixes(tmp_path):
    made = layer(tmp_path, LIVE_REDIS_URL="redis://a", LIVE_REDIS_PREFIX="other")
    assert made["CONFIG"]["prefix"] == "other"
