"""`make bench`: measures both servers and prints the table; WRITE=1 also puts it into docs/performance.md."""

import datetime
import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.measure import CLIENT_CORES, LIVE, RATE, ROOT, SERVER_CORE, STOCK, BenchError, Result, measure

SUBSCRIBERS = (1, 100, 1000)
SECONDS = 8.0
AT_LEAST = 8  # times cheaper per delivery than the stock consumer
PAGE = ROOT / "docs" / "performance.md"
START, END = "<!-- bench: written by make bench WRITE=1 -->", "<!-- /bench -->"


def compile_client(folder: Path) -> Path:
    """Compiles load.c."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        raise BenchError("a C compiler is needed")
    client = folder / "load"
    subprocess.run([compiler, "-O2", "-o", client, ROOT / "bench/load.c"], check=True)
    return client


def sign_in() -> str:
    """Makes the database, a user and a session; returns the session's cookie."""
    import django

    django.setup()
    from django.conf import settings
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
    from django.contrib.sessions.backends.db import SessionStore
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    user = get_user_model().objects.create_user("bench")
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    return f"{settings.SESSION_COOKIE_NAME}={session.session_key}"


def table(results: list[Result]) -> str:
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
        f"{versions}; {datetime.datetime.now(datetime.UTC):%Y-%m-%d}. {RATE} publications a second of about 200 bytes "
        f"for {SECONDS:.0f} s in one channel, InMemoryChannelLayer, session login, one daphne process."
    )


def cpu_model() -> str:
    """The processor's name."""
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def write(text: str) -> None:
    """Replaces the part between the marks in docs/performance.md, or adds it."""
    page = PAGE.read_text() if PAGE.exists() else "# Performance\n"
    block = f"{START}\n{text}\n{END}"
    marked = re.compile(re.escape(START) + ".*?" + re.escape(END), re.DOTALL)
    page = marked.sub(lambda _: block, page) if marked.search(page) else f"{page.rstrip()}\n\n{block}\n"
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page)
    print(f"\nWritten to {PAGE.relative_to(ROOT)}.")


def main() -> int:
    """Runs everything; returns the exit code, 1 when the saving is less than asked for."""
    with tempfile.TemporaryDirectory(prefix="live-bench-") as name:
        folder = Path(name)
        os.environ |= {"DJANGO_SETTINGS_MODULE": "bench.settings", "LIVE_VAR": name, "DEBUG": "0"}
        client = compile_client(folder)
        cookie = sign_in()
        results = []
        for number in SUBSCRIBERS:
            for server in (LIVE, STOCK):
                print(f"{number:,} subscribers, {server.name} …", file=sys.stderr, flush=True)
                results.append(measure(server, number, SECONDS, client, dict(os.environ), cookie))
    saving = ratios(results)
    words = ", ".join(f"{ratio:.1f} times with {number:,}" for number, ratio in saving.items())
    verdict = "met" if saving[SUBSCRIBERS[-1]] >= AT_LEAST else "MISSED"
    goal = f"The goal of {AT_LEAST} times with {SUBSCRIBERS[-1]:,} subscribers is {verdict}."
    saving_line = f"A delivery costs the stock consumer more CPU: {words}. {goal}"
    text = f"{table(results)}\n\n{saving_line}\n\nConditions: {conditions()}"
    print(text)
    if os.environ.get("WRITE") == "1":
        write(text)
    return 0 if verdict == "met" else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchError as problem:
        sys.exit(str(problem))
    except KeyboardInterrupt:
        sys.exit(130)
