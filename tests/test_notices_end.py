"""A process that ends right after it took a right away: the nodes are told, though the interpreter is ending."""

import os
import subprocess
import sys

import pytest

from tests.redis_server import RedisServer
from tests.site import ROOT

CODE = """
import django
django.setup()
from live.notices import notices
notices.recheck(["1"])
"""


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    # By name, it may be found at either address.
    with RedisServer(tmp_path_factory.mktemp("redis"), bind="127.0.0.1 -::1") as server:
        yield server


# No thread can be had then: for the loop that connects (Python 3.12), nor to look up a name (every version).
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_process_that_ends_tells_the_nodes_first(redis, tmp_path, host):
    def published():
        return redis.info("commandstats").get("cmdstat_publish", "calls=0").partition(",")[0]

    before = published()
    env = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "LIVE_VAR": str(tmp_path),
        "LIVE_REDIS_URL": f"redis://{host}:{redis.port}",
    }
    done = subprocess.run([sys.executable, "-c", CODE], cwd=ROOT, env=env, capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stderr) == (0, "")
    assert published() != before
