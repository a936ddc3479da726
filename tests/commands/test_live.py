"""``manage.py live`` as somebody uses it: from a shell, in pipes, beside a running site."""

import json
import os
import pty
import signal
import subprocess
import sys
import uuid

import pytest

from live.management.commands.live import SUBCOMMANDS
from tests.site import ROOT, free_port

# Up to five processes one after the other; how long they take on a busy machine is not what is tested.
pytestmark = pytest.mark.timeout(150)

GOOD = "cpu,host=a x=1 1616403089000000000\ncpu,host=b x=2 1616403089000000000\n"


@pytest.fixture
def stream():
    return f"s-{uuid.uuid4().hex[:12]}"


# push


def test_what_push_sends_listen_prints(run, listen, site, stream):
    listener = listen(f"stream/{stream}/cpu", "--json", "--count", "2")

    done = run("push", stream, "--url", site.url, "--batch", "3", stdin=GOOD + "mem used=5i\n\ncpu x=3 0\n")

    assert (done.code, done.out) == (0, "")
    assert f"4 lines in 2 pushes to stream/{stream} of {site.url}" in done.err
    first, second = json.loads(listener.line()), json.loads(listener.line())
    assert first["channel"] == f"stream/{stream}/cpu"
    assert first["data"]["data"]["values"] == [["host=a", "host=b"], [1616403089000] * 2, [1, 2]]
    assert second["data"] == {"data": {"values": [[""], [0], [3]]}}
    assert (first["offset"], second["offset"]) == (1, 2)
    assert listener.end() == 0


def test_push_of_a_file(run, site, stream, tmp_path):
    path = tmp_path / "lines"
    path.write_text('m s="two\nlines" 1\n# end\n' * 3)

    done = run("push", stream, str(path), "--url", site.url, "--batch", "1", "--precision", "s")

    assert done.code == 0, done
    assert "3 lines in 3 pushes" in done.err
    info = json.loads(site.request("GET", f"/api/live/info/stream/{stream}/m")[1])
    assert info["minute_rate"] == 3


def test_a_pipe_is_pushed_while_it_is_open(start, listen, site, stream):
    listener = listen(f"stream/{stream}/cpu")
    pushing = start("push", stream, "--url", site.url, stdin=subprocess.PIPE)

    for _ in range(2):
        pushing.process.stdin.write("cpu x=1 0\n")
        pushing.process.stdin.flush()
        assert listener.line().startswith(f"stream/{stream}/cpu {{")
    assert pushing.end(signal.SIGINT) == 130
    # Whether the second one was answered already is anybody's guess.
    assert pushing.note(f" to stream/{stream} of {site.url}").startswith(("1 line in 1 push", "2 lines in 2 pushes"))
    assert listener.end(signal.SIGINT) == 130


@pytest.mark.parametrize("remote", [True, False])
def test_wrong_lines_are_named_as_in_the_file(run, site, stream, remote, tmp_path):
    path = tmp_path / "lines"
    path.write_text("a x=1\nb x=1\n\n# c\nbro\x1bken\nd x=1\ne x=1\nf\n")
    url = ["--url", site.url] if remote else []

    stopped = run("push", stream, str(path), "--batch", "3", *url)
    went_on = run("push", stream, str(path), "--batch", "3", "--keep-going", *url)

    assert stopped.code == went_on.code == 1
    assert f"{path}:5: expected a measurement, then a blank and a field: bro\ufffdken" in stopped.err
    assert "nothing from line 4 on was pushed" in stopped.err
    assert f"{path}:8: " not in stopped.err
    assert f"{path}:8: expected a measurement" in went_on.err
    assert "2 lines in 1 push" in stopped.err
    assert "2 lines in 1 push" in went_on.err


def test_push_here_says_that_nobody_hears_it(run, stream):
    done = run("push", stream, stdin=GOOD)

    assert done.code == 0
    assert done.err.count("hint: ") == 1
    assert "--url" in done.err
    assert run("push", stream, "--verbosity", "0", stdin=GOOD).err == ""


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["bad/id"], 1, "bad stream id 'bad/id'"),
        (["host", "/nowhere/lines"], 1, "/nowhere/lines: No such file or directory"),
        (["host", "--batch", "0"], 2, "invalid positive whole number value: '0'"),
        (["host", "--url", "nonsense"], 1, "is no URL of a site"),
        ([], 2, "STREAM"),
    ],
)
def test_push_refuses(run, arguments, code, text):
    done = run("push", *arguments, stdin=GOOD)

    assert done.code == code
    assert text in done.err
    assert "Traceback" not in done.err


def test_push_without_a_right_token(run, site, stream):
    nobody = run("push", stream, "--url", site.url, stdin=GOOD, token=False)
    wrong = run("push", stream, "--url", site.url, "--token", "wrong", stdin=GOOD)

    assert (nobody.code, wrong.code) == (1, 1)
    assert "no token was given" in nobody.err
    assert "answers 401" in wrong.err


def test_push_to_nobody(run, stream):
    url = f"http://127.0.0.1:{free_port()}"

    done = run("push", stream, "--url", url, "--retries", "1", stdin=GOOD)

    assert done.code == 3
    assert "trying again in 0.5 s (1 of 1)" in done.err
    assert f"CommandError: {url} cannot be reached" in done.err
    assert "nothing from line 1 of stdin on was pushed" in done.err


def test_the_bar_is_for_terminals(site, stream, tmp_path):
    path = tmp_path / "lines"
    path.write_text("cpu x=1\n" * 2000)
    leader, follower = pty.openpty()
    command = [sys.executable, "manage.py", "live", "push", stream, str(path), "--url", site.url]
    env = {**site.env, "LIVE_TOKEN": site.token}
    with open(leader, "rb", buffering=0) as terminal:
        with open(follower, "wb") as err:
            done = subprocess.run(command, cwd=ROOT, env=env, check=False, stderr=err, timeout=40)
        shown = b""
        while b"pushes" not in shown:
            shown += terminal.read(4096)
    assert done.returncode == 0
    assert b"[############............]  50%  1,000 lines" in shown
    # It is gone before the summary.
    assert b"\x1b[K2,000 lines in 2 pushes" in shown


def test_push_without_stdin(site, stream):
    command = f"exec {sys.executable} manage.py live push {stream} <&-"
    done = subprocess.run(command, shell=True, cwd=ROOT, env=site.env, check=False, capture_output=True, timeout=40)

    assert done.returncode == 1
    assert b"CommandError: stdin: " in done.stderr


# publish


def test_what_publish_says_listen_prints(run, listen, site):
    channel = f"grafana/broadcast/{uuid.uuid4().hex}"
    listener = listen(channel, "--count", "2")

    done = run("publish", channel, '{"say": "héllo"}', "--url", site.url)
    piped = run("publish", channel, "-", "--url", site.url, "--json", stdin="[1, 2]")

    assert (done.code, done.out, done.err) == (0, f"published to {channel}\n", "")
    assert (piped.code, piped.out) == (0, "{}\n")
    assert listener.line() == f'{channel} {{"say":"héllo"}}'
    assert listener.line() == f"{channel} [1,2]"
    assert listener.end() == 0


def test_what_python_takes_for_the_end_of_a_line_is_none_in_json(run, listen, site):
    channel = f"grafana/broadcast/{uuid.uuid4().hex}"
    listener = listen(channel, "--count", "2", "--json")
    said = "a\u2028b\u2029c\u0085d"

    assert run("publish", channel, json.dumps(said), "--url", site.url).code == 0
    assert run("publish", channel, '"after"', "--url", site.url).code == 0

    assert [json.loads(listener.line())["data"] for _ in range(2)] == [said, "after"]
    assert listener.end() == 0


def test_publish_here(run):
    done = run("publish", "stream/x/y", "1", "--json")

    assert done.code == 0
    assert json.loads(done.out)["offset"] == 1
    assert done.err.count("hint: ") == 1


@pytest.mark.parametrize(
    ("channel", "data", "text"),
    [
        ("grafana/broadcast", "1", "invalid channel: path missing"),
        ("grafana/broadcast/x", "hello", "a text needs its quotes"),
        ("no/such/channel", "1", "nothing answers for no/such"),
    ],
)
def test_publish_refuses(run, site, channel, data, text):
    for url in ([], ["--url", site.url]):
        done = run("publish", channel, data, *url)
        assert (done.code, done.out) == (1, "")
        assert text in done.err


def test_publish_to_a_stream_of_a_site(run, site):
    done = run("publish", "stream/x/y", "1", "--url", site.url)

    assert done.code == 1
    assert "answers 403: Forbidden" in done.err


# listen


def test_listen_starts_with_the_last_value(run, listen, site):
    channel = f"grafana/broadcast/{uuid.uuid4().hex}"
    run("publish", channel, '"last"', "--url", site.url)
    listener = listen(channel, channel, "--initial", "--json", "--count", "1")

    assert json.loads(listener.line()) == {"channel": channel, "data": "last", "initial": True}
    assert listener.end() == 0


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["grafana/broadcast"], 1, "grafana/broadcast: 400 invalid channel: path missing"),
        (["stream/a/b", "no/such/channel"], 1, "no/such/channel: 102 unknown channel"),
        (["stream/a/b", "--session", "a; b"], 1, "holds characters that no key has"),
        ([], 2, "CHANNEL"),
    ],
)
def test_listen_refuses(run, site, arguments, code, text):
    done = run("listen", *arguments, "--url", site.url)

    assert (done.code, done.out) == (code, "")
    assert text in done.err
    assert "Traceback" not in done.err


def test_listen_to_nobody(run):
    done = run("listen", "stream/a/b", "--url", f"http://127.0.0.1:{free_port()}")

    assert done.code == 3
    assert "cannot be reached" in done.err


def test_listen_to_what_is_not_live(run, site):
    done = run("listen", "stream/a/b", "--url", f"{site.url}/elsewhere")

    assert done.code in (1, 3)
    assert "Traceback" not in done.err


def test_listen_with_a_session(make_site, run, login):
    private = make_site(ALLOW_ANONYMOUS=False)
    channel = "grafana/broadcast/private"

    nobody = run("listen", channel, "--url", private.url)
    key = login(private).split("=", 1)[1]
    somebody = subprocess.Popen(
        [sys.executable, "manage.py", "live", "listen", channel, "--url", private.url, "--session", key],
        cwd=ROOT,
        env=private.env,
        stderr=subprocess.PIPE,
        text=True,
    )
    with somebody:
        try:
            assert somebody.stderr.readline().startswith(f"listening to {channel}")
            private.stop()
            assert somebody.wait(40) == 3
        finally:
            if somebody.poll() is None:
                somebody.kill()
    assert nobody.code == 1
    assert "no credentials" in nobody.err


def test_listen_without_the_package(run):
    # A package of that name that is none.
    done = run("listen", "stream/a/b", env={"PYTHONPATH": str(ROOT / "tests" / "commands" / "without")})

    assert done.code == 1
    assert "pip install 'channels-live[cli]'" in done.err


def test_a_reader_that_goes_away_is_no_error(run, site, stream):
    run("push", stream, "--url", site.url, stdin="".join(f"m{number} x=1\n" for number in range(500)))
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as out:
        done = subprocess.run(
            [sys.executable, "manage.py", "live", "channels", "--url", site.url],
            cwd=ROOT,
            env=site.env,
            check=False,
            stdout=out,
            stderr=subprocess.PIPE,
            timeout=40,
        )
    assert (done.returncode, done.stderr) == (141, b"")


# channels


def test_channels_of_a_site(run, site, stream):
    run("push", stream, "--url", site.url, stdin="cpu,host=a x=1,y=2\nmem used=5i\n")
    prefix = ["--url", site.url, "--prefix", f"stream/{stream}/"]

    table = run("channels", *prefix)
    objects = run("channels", *prefix, "--json")

    assert table.code == objects.code == 0
    width = len(f"stream/{stream}/cpu")
    assert table.out.splitlines() == [
        f"{'CHANNEL':<{width}}  MESSAGES/MIN  SUBSCRIBERS  FIELDS",
        f"stream/{stream}/cpu             1            0  labels, time, x, y",
        f"stream/{stream}/mem             1            0  labels, time, used",
    ]
    entries = [json.loads(line) for line in objects.out.splitlines()]
    assert [entry["channel"] for entry in entries] == [f"stream/{stream}/cpu", f"stream/{stream}/mem"]
    assert "schema" in entries[0]["data"]


def test_channels_here_are_this_processs_own(run):
    done = run("channels")

    assert done.code == 0
    assert done.out.split() == ["CHANNEL", "MESSAGES/MIN", "SUBSCRIBERS", "FIELDS"]
    assert "hint: " in done.err


# token


def test_token_is_shown_kept_and_rotated(run, site):
    first, again = run("token", "demo"), run("token", "demo")
    assert (first.code, first.err) == (0, "")
    assert first.out == again.out == f"{site.token}\n"

    site.manage("shell", "--no-imports", "-c", NEW_USER)
    made = run("token", "other")
    rotated = run("token", "other", "--rotate")
    assert len(made.out.strip()) == 40
    assert made.out != rotated.out
    assert "has not the permission live.push" in made.err


NEW_USER = "from django.contrib.auth.models import User; User.objects.create_user('other')"


def test_token_of_nobody(run):
    done = run("token", "nobody")

    assert (done.code, done.out) == (1, "")
    assert "there is no user 'nobody'" in done.err


def test_token_before_the_tables_are_there(run, tmp_path):
    done = run("token", "demo", env={"LIVE_VAR": str(tmp_path)}, token=False)

    assert done.code == 1
    assert "was `manage.py migrate` run?" in done.err


# help


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_help_has_examples_and_exit_codes(run, name):
    done = run(name, "--help")

    assert (done.code, done.err) == (0, "")
    assert f"manage.py live {name} " in done.out.split("examples:")[1]
    assert "exit codes:" in done.out


def test_help_names_the_subcommands(run):
    done = run("--help")

    assert done.code == 0
    for name, subcommand in SUBCOMMANDS.items():
        assert name in done.out
        assert subcommand.help in done.out
    assert run().code == 2


def test_djangos_options_may_stand_anywhere(run):
    for arguments in (["channels", "--settings", "tests.settings"], ["--settings", "tests.settings", "channels"]):
        assert run(*arguments, "--no-color").code == 0
