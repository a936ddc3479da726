"""``manage.py live doctor`` as somebody uses it: what it prints where, how it ends, and that nothing holds it up."""

import asyncio
import json
import os
import pty
import resource
import subprocess
import sys
import threading
import time

import pytest

from live.commands.doctor import finding as findings
from live.commands.doctor.finding import WHY, Level, bounded, in_thread, make_loop, ok
from tests.redis_server import RedisServer
from tests.site import ROOT, Site, free_port

SETTINGS = {"DJANGO_SETTINGS_MODULE": "tests.commands.doctor_settings"}
REDIS = {"appendonly": "yes", "client-output-buffer-limit": "pubsub 256mb 64mb 60"}
SECRET = "pass-of-the-doctor"
NOBODYS = {"DOCTOR_TEST_SETTINGS": json.dumps({"ASGI_APPLICATION": "tests.commands.doctor_application.application"})}
"""An application that no server of this machine serves, whatever other tests run."""


@pytest.fixture
def production(tmp_path):
    """The demo as it should be run: on Redis, without DEBUG, with room for a thousand."""
    with RedisServer(tmp_path / "redis", password=SECRET, **REDIS) as redis:
        site = Site(tmp_path, MAX_CONNECTIONS=1000)
        site.env |= {"LIVE_REDIS_URL": redis.url, "DEBUG": "0", **SETTINGS}
        site.prepare()
        try:
            site.start()
            yield site, redis
        finally:
            site.stop()


def doctor(env, *arguments, **kwargs):
    """How `manage.py live doctor` ended."""
    return subprocess.run(
        [sys.executable, "manage.py", "live", "doctor", *arguments],
        cwd=ROOT,
        env=env,
        check=False,
        capture_output=True,
        text=True,
        timeout=40,
        **kwargs,
    )


@pytest.fixture
def env(tmp_path):
    """The environment of a site that does not run, of an application that nobody serves."""
    return {**os.environ, **SETTINGS, **NOBODYS, "LIVE_VAR": str(tmp_path)}


def levels(done):
    """The levels by check."""
    found = {}
    for one in json.loads(done.stdout):
        found.setdefault(one["check"], []).append(one["level"])
    return {check: ones[0] if len(ones) == 1 else ones for check, ones in found.items()}


def test_a_set_up_that_is_well_and_what_goes_wrong_with_it(production):
    site, redis = production

    done = doctor(site.env, "--url", site.url, "--json")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert set(levels(done).values()) == {"ok"}
    assert set(levels(done)) == WHY.keys() - {"site-tls", "redis-sentinel"}

    # Too few open files for the process that runs.
    resource.prlimit(site.process.pid, resource.RLIMIT_NOFILE, (256, 256))
    done = doctor(site.env, "--url", site.url, "--json")
    assert done.returncode == 1
    assert levels(done).pop("open-files") == "error"

    # No Redis any more.
    redis.stop()
    done = doctor(site.env, "--url", site.url, "--json")
    assert done.returncode == 1
    assert levels(done)["redis"] == "error"
    assert levels(done)["site-readyz"] == "error"
    assert levels(done)["settings"] == levels(done)["site-livez"] == "ok"
    assert SECRET not in done.stdout + done.stderr


def test_a_low_limit_of_open_files(env):
    def lower():
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

    done = doctor(env, preexec_fn=lower)

    assert done.returncode == 1
    lines = done.stdout.splitlines()
    [place] = [number for number, line in enumerate(lines) if line.startswith("error")]
    assert lines[place].split()[:2] == ["error", "open-files"]
    assert "this shell, as no server runs here: 64 files for 100 clients" in lines[place]
    assert lines[place + 1].split()[0] == "why"
    assert lines[place + 2].split()[0] == "fix"
    assert "LimitNOFILE=65536" in lines[place + 2]


def test_warnings_alone_are_no_failure(env):
    done = doctor(env)

    assert done.returncode == 0
    assert "warning  debug" in done.stdout
    assert " 1 warning, 0 errors\n" in done.stderr
    assert "hint: --url http://127.0.0.1:8000" in done.stderr
    # Aligned, and without colours in a pipe.
    assert "\x1b" not in done.stdout
    place = done.stdout.index("sound;")
    for line in done.stdout.splitlines():
        assert line[place - 1] == " ", line
        assert line[place] != " ", line


def test_json(env):
    done = doctor(env, "--json", "--verbosity", "0")

    assert done.stderr == ""
    for one in json.loads(done.stdout):
        assert list(one) == ["check", "level", "found", "why", "fix"]
        assert all(isinstance(value, str) for value in one.values())
        assert one["check"] in WHY
        assert one["level"] in ("ok", "warning", "error")
        assert (one["fix"] == "") == (one["level"] == "ok")
        assert one["found"]
        assert one["why"]


def test_settings_that_are_wrong(env):
    wrong = {"LIVE": {"MAX_CONNECTION": 5}, "CHANNEL_LAYERS": None, "ASGI_APPLICATION": "nowhere.application"}
    done = doctor({**env, "DOCTOR_TEST_SETTINGS": json.dumps(wrong)}, "--json")

    assert done.returncode == 1
    assert levels(done)["application"] == "error"
    assert levels(done)["memory"] == "ok"
    assert "Traceback" not in done.stderr


def test_a_dead_redis(env):
    url = f"redis://user:{SECRET}@127.0.0.1:{free_port()}/0"
    done = doctor({**env, "LIVE_REDIS_URL": url})

    assert done.returncode == 1
    assert "nobody listens there" in done.stdout
    assert "CHANNEL_LAYERS['default']['CONFIG']['hosts']" in done.stdout
    assert SECRET not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--url", "nonsense"],
        ["--url", f"ftp://user:{SECRET}@host"],
        ["--origin", "https://elsewhere.example"],
        ["--nothing"],
    ],
)
def test_wrong_usage(env, arguments):
    done = doctor({**env, "LIVE_TOKEN": "no\ttoken"}, *arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert SECRET not in done.stderr


def test_secrets_of_the_url(env):
    done = doctor(env, "--url", f"http://user:{SECRET}@127.0.0.1:{free_port()}/?token={SECRET}")

    assert done.returncode == 1
    assert "nobody listens there" in done.stdout
    assert SECRET not in done.stdout + done.stderr


def in_a_terminal(env, *arguments):
    """What it prints on a terminal of 80 columns."""
    leader, follower = pty.openpty()
    with open(leader, "rb", buffering=0) as terminal:
        with open(follower, "wb") as out:
            command = [sys.executable, "manage.py", "live", "doctor", *arguments]
            process = subprocess.Popen(
                command, cwd=ROOT, env={**env, "COLUMNS": "80"}, stdout=out, stderr=subprocess.DEVNULL
            )
        shown = b""
        try:
            while chunk := terminal.read(4096):
                shown += chunk
        except OSError:
            pass  # nobody has the other end any more
        assert process.wait(40) == 0
    return shown.decode()


def test_a_terminal_gets_colours_and_lines_that_fit(env):
    shown = in_a_terminal({**env, "DJANGO_COLORS": ""})
    plain = in_a_terminal(env, "--no-color")

    assert "\x1b[" in shown
    assert "\x1b" not in plain
    assert "warning  debug" in plain
    assert max(map(len, plain.splitlines())) <= 80


def test_a_reader_that_goes_away(env):
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as out:
        done = subprocess.run(
            [sys.executable, "manage.py", "live", "doctor"],
            cwd=ROOT,
            env=env,
            check=False,
            stdout=out,
            stderr=subprocess.PIPE,
            timeout=40,
        )
    assert (done.returncode, done.stderr) == (141, b"")


def test_every_check_is_in_the_documentation():
    text = (ROOT / "docs" / "commands.md").read_text()

    assert [check for check in WHY if f"`{check}`" not in text] == []


# What keeps one check from the others


async def test_a_check_that_breaks():
    async def breaks():
        raise ValueError(SECRET)

    [found] = await bounded("memory", breaks())

    assert (found.check, found.level) == ("memory", Level.WARNING)
    assert found.found == "could not be looked at: ValueError"


async def test_a_check_that_takes_too_long(monkeypatch):
    monkeypatch.setattr(findings, "SECONDS", 0.05)

    [found] = await bounded("memory", asyncio.Event().wait())

    assert (found.check, found.level) == ("memory", Level.ERROR)
    assert "no answer within 0.05 s" in found.found


def test_nobody_waits_for_a_thread_that_hangs(monkeypatch):
    monkeypatch.setattr(findings, "SECONDS", 40)
    hangs, end = threading.Event(), threading.Event()

    def hang():
        hangs.set()
        return [end.wait(50)]

    async def look():
        hanging = asyncio.ensure_future(in_thread(hang))
        await asyncio.to_thread(hangs.wait, 50)
        others = await asyncio.gather(
            bounded("memory", in_thread(lambda: [ok("memory", "1 GiB")])),
            bounded("layer", in_thread(lambda: 1 / 0)),
        )
        monkeypatch.setattr(findings, "SECONDS", 0.1)
        return [await bounded("site", hanging), *others]

    started = time.monotonic()
    try:
        with asyncio.Runner(loop_factory=make_loop) as runner:
            found = runner.run(look())
        seconds = time.monotonic() - started
    finally:
        end.set()

    assert seconds < 25
    assert [one.level for [one] in found] == [Level.ERROR, Level.OK, Level.WARNING]
