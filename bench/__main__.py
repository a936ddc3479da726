"""`make bench`: measures and prints the tables; WRITE=1 also puts them into docs/performance.md.

WHAT=deliveries, WHAT=ingest, WHAT=cluster, WHAT=limits or WHAT=plugins measures one of them only. SECONDS=300 pushes
for so long to see the memory; SCALE=0.01 makes the last three so much smaller, to see that they work.
"""

import contextlib
import datetime
import importlib.metadata
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil

from bench.measure import CLIENT_CORES, LIVE, RATE, ROOT, SERVER_CORE, STOCK, BenchError, Result, measure
from bench.rows import table

SUBSCRIBERS = (1, 100, 1000)
SECONDS = 8.0
AT_LEAST = 8  # times cheaper per delivery than the stock consumer
PAGE = ROOT / "docs" / "performance.md"
PLOT = PAGE.with_suffix(".svg")


def compile_client(folder: Path) -> Path:
    """Compiles load.c and peer.c."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        raise BenchError("a C compiler is needed")
    client = folder / "load"
    sources = [ROOT / "bench" / name for name in ("load.c", "peer.c")]
    subprocess.run([compiler, "-O2", "-o", client, *sources], check=True)
    return client


def sign_in() -> tuple[str, str]:
    """Makes the database, a user who may push, and a session; returns the session's cookie and the user's token."""
    import django

    django.setup()
    from django.conf import settings
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
    from django.contrib.auth.models import Permission
    from django.contrib.sessions.backends.db import SessionStore
    from django.core.management import call_command
    from rest_framework.authtoken.models import Token

    call_command("migrate", verbosity=0)
    user = get_user_model().objects.create_user("bench")
    user.user_permissions.add(Permission.objects.get(codename="push", content_type__app_label="live"))
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    return f"{settings.SESSION_COOKIE_NAME}={session.session_key}", Token.objects.create(user=user).key


def deliveries_table(results: list[Result]) -> str:
    """The results as a Markdown table."""
    rows = [
        "| subscribers | server | deliveries/s | p50 ms | p99 ms | CPU µs/delivery "
        "| idle CPU % | KiB/connection | missing |",
        "|---:|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for each in results:
        # One connection's memory drowns in the allocator's steps.
        memory = f"{each.memory_kib:.0f}" if each.subscribers >= 100 else "-"
        rows.append(
            f"| {each.subscribers:,} | {each.server.name} | {each.deliveries_per_second:,.0f} | {each.p50_ms:,.2f} "
            f"| {each.p99_ms:,.2f} | {each.cpu_us:,.1f} | {100 * each.idle_share:.1f} | {memory} | {each.missing:,} |"
        )
    return "\n".join(rows)


def ratios(results: list[Result]) -> dict[int, float]:
    """For each number of subscribers, how many times more CPU the stock consumer takes for a delivery."""
    cost = {(each.server, each.subscribers): each.cpu_us for each in results}
    return {number: cost[STOCK, number] / cost[LIVE, number] for number in SUBSCRIBERS}


def conditions() -> str:
    """What the numbers depend on."""
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}" for name in ("django", "channels", "daphne", "orjson")
    )
    same = SERVER_CORE & CLIENT_CORES
    apart = "server and client on the same core" if same else "server and client on a core each"
    return (
        f"{cpu_model()}, {os.cpu_count()} cores, {apart}; {platform.system()}, Python {platform.python_version()}, "
        f"{versions}; {datetime.datetime.now(datetime.UTC):%Y-%m-%d}."
    )


def cpu_model() -> str:
    """The processor's name."""
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def write(name: str, text: str) -> None:
    """Replaces the part of that name in docs/performance.md, or adds it."""
    page = PAGE.read_text() if PAGE.exists() else "# Performance\n"
    start, end = f"<!-- {name}: written by make bench WRITE=1 -->", f"<!-- /{name} -->"
    block = f"{start}\n{text}\n{end}"
    marked = re.compile(re.escape(start) + ".*?" + re.escape(end), re.DOTALL)
    page = marked.sub(lambda _: block, page) if marked.search(page) else f"{page.rstrip()}\n\n{block}\n"
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page)
    print(f"\nWritten to {PAGE.relative_to(ROOT)}.")


def measure_deliveries(client: Path, cookie: str) -> tuple[str, bool]:
    """What a delivery costs, beside the stock consumer: the text, and whether the goal is met."""
    results = []
    for number in SUBSCRIBERS:
        for server in (LIVE, STOCK):
            print(f"{number:,} subscribers, {server.name} …", file=sys.stderr, flush=True)
            results.append(measure(server, number, SECONDS, client, dict(os.environ), cookie))
    saving = ratios(results)
    words = ", ".join(f"{ratio:.1f} times with {number:,}" for number, ratio in saving.items())
    # With a single subscriber it is the publication that costs, and the waking of an idle process.
    met = all(ratio >= AT_LEAST for number, ratio in saving.items() if number > 1)
    goal = f"The goal of {AT_LEAST} times with many subscribers is {'met' if met else 'MISSED'}."
    what = (
        f"{RATE} publications a second of about 200 bytes for {SECONDS:.0f} s in one channel, InMemoryChannelLayer, "
        "session login, one daphne process."
    )
    saving_line = f"A delivery costs the stock consumer more CPU: {words}. {goal}"
    return f"{deliveries_table(results)}\n\n{saving_line}\n\nConditions: {conditions()} {what}", met


def measure_ingest(token: str, cookie: str) -> tuple[str, bool]:
    """How fast metrics come in: the text, and whether every goal is met."""
    # It parses lines with the app's own code, which needs Django set up.
    from bench import ingest

    print("ingest …", file=sys.stderr, flush=True)
    seconds = float(os.environ.get("SECONDS", "20"))
    rows = ingest.measure(dict(os.environ), token, cookie, seconds)
    what = (
        f"Lines of Telegraf's cpu plugin (10 fields, 2 tags); over HTTP {ingest.SENDERS} senders with kept connections "
        "and tokens, one subscriber of every measurement, one daphne process."
    )
    return f"{table('ingest', rows)}\n\nConditions: {conditions()} {what}", all(row.met is not False for row in rows)


def measure_cluster(client: Path, cookie: str) -> tuple[str, bool]:
    """What several nodes with Redis do: the text, and whether every goal is met."""
    # Its publishers are handlers of the app, which need Django set up.
    from bench import cluster

    if not shutil.which("redis-server"):
        raise BenchError("redis-server is needed")
    size = cluster.Size().scaled(float(os.environ.get("SCALE", "1")))
    rows = cluster.measure(client, dict(os.environ), cookie, size)
    client_library = f"redis-py {importlib.metadata.version('redis')}"
    what = (
        f"{cluster.redis_version()}, {client_library}; Redis, clients, publishers and the second of two nodes on the "
        "client's core, the plain process on the server's. Publications of about 200 bytes, a history of 100 where "
        "there is one, session login."
    )
    return f"{table('cluster', rows)}\n\nConditions: {conditions()} {what}", all(row.met is not False for row in rows)


def measure_limits(client: Path, token: str) -> tuple[str, bool, str]:
    """What one process can do at the most: the text, whether every goal is met, and the plot."""
    # It asks for what the app's settings say.
    from bench.limits import plot, run
    from bench.limits.host import Size

    if not shutil.which("redis-server"):
        raise BenchError("redis-server is needed")
    size = Size().scaled(float(os.environ.get("SCALE", "1")))
    tables, results = run.measure(client, dict(os.environ), token, size)
    what = (
        f"uvicorn {importlib.metadata.version('uvicorn')} with `--ws websockets-sansio`, Redis and clients on the "
        f"client's core; load average {os.getloadavg()[0]:.1f} at the end. Publications of about 270 bytes on the wire."
    )
    parts = [table(f"limits on {program}", rows) for program, rows in tables.items()]
    picture = f"![CPU per delivery and memory per client]({PLOT.name})"
    met = all(row.met is not False for rows in tables.values() for row in rows)
    return "\n\n".join([*parts, picture, f"Conditions: {conditions()} {what}"]), met, plot.draw(results)


def measure_plugins(client: Path, cookie: str) -> tuple[str, bool]:
    """What streams of plugins cost: the text, and whether every goal is met."""
    # It imports the app, which needs Django set up.
    from bench import plugins

    size = plugins.Size().scaled(float(os.environ.get("SCALE", "1")))
    rows = plugins.measure(client, dict(os.environ), cookie, size)
    what = (
        "A row of five columns a frame, the memory store where nothing else is said, one daphne process; one stream by "
        f"hand and of a plugin in turns, {size.rounds} times {size.seconds:.0f} s each, the median."
    )
    return f"{table('plugins', rows)}\n\nConditions: {conditions()} {what}", all(row.met is not False for row in rows)


def main() -> int:
    """Runs everything; returns the exit code, 1 when a goal is missed."""
    wanted = os.environ.get("WHAT", "deliveries ingest cluster limits plugins").split()
    with tempfile.TemporaryDirectory(prefix="live-bench-") as name:
        folder = Path(name)
        os.environ |= {"DJANGO_SETTINGS_MODULE": "bench.settings", "LIVE_VAR": name, "DEBUG": "0"}
        cookie, token = sign_in()
        parts, picture = {}, ""
        client = compile_client(folder)
        if "deliveries" in wanted:
            parts["bench"] = measure_deliveries(client, cookie)
        if "ingest" in wanted:
            parts["ingest"] = measure_ingest(token, cookie)
        if "cluster" in wanted:
            parts["cluster"] = measure_cluster(client, cookie)
        if "limits" in wanted:
            *parts["limits"], picture = measure_limits(client, token)
        if "plugins" in wanted:
            parts["plugins"] = measure_plugins(client, cookie)
    for name, (text, _) in parts.items():
        print(text, end="\n\n")
        if os.environ.get("WRITE") == "1":
            write(name, text)
            if name == "limits":
                PLOT.write_text(picture)
    return 0 if all(met for _, met in parts.values()) else 1


def end_children() -> None:
    """Ends what is left of what was started, as an interrupt may come in the moment of a start."""
    children = psutil.Process().children(recursive=True)
    for child in children:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    psutil.wait_procs(children, timeout=10)


if __name__ == "__main__":
    for ending in (signal.SIGTERM, signal.SIGHUP):
        # As with Ctrl-C: servers are stopped on the way out.
        signal.signal(ending, signal.default_int_handler)
    try:
        sys.exit(main())
    except BenchError as problem:
        sys.exit(str(problem))
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        end_children()
