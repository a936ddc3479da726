"""What `doctor` finds at the machine: the real kernel's answers for running servers, and copies of others' files."""

import os
import resource
import subprocess
import sys

import pytest

from live.commands.doctor.finding import WHY
from live.commands.doctor.machine import CLIENT_BYTES, PROCESS_BYTES, Machine
from live.commands.doctor.processes import Limit, Listener, Server, find_servers
from tests.cluster.process import listens, wait_until
from tests.site import ROOT, free_port

GIBIBYTE = 2**30

FILES = {
    "sys/fs/file-nr": "1000\t0\t100000\n",
    "sys/net/ipv4/ip_local_port_range": "32768\t60999\n",
    "sys/net/core/somaxconn": "4096\n",
    "net/tcp": "  sl  local_address rem_address   st tx_queue rx_queue\n",
    "meminfo": "MemTotal: 8388608 kB\nMemAvailable: 4194304 kB\n",
    "self/cgroup": "0::/\n",
}


@pytest.fixture
def kernel(tmp_path):
    """Makes the files of a kernel, changed as a test wants them (None: not there); a `Machine` on them."""

    def make(clients=100, servers=(), own_files=Limit(1024, 4096), cgroups=None, **changes):  # noqa: B008
        proc, groups = tmp_path / "proc", tmp_path / "cgroup"
        groups.mkdir()
        files = {proc / name: text for name, text in FILES.items()}
        files |= {proc / name.replace("__", "/"): text for name, text in changes.items()}
        files |= {groups / name: text for name, text in (cgroups or {}).items()}
        for path, text in files.items():
            if text is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
        return Machine(clients, list(servers), own_files=own_files, proc=proc, cgroups=groups)

    return make


def server(soft=1024, hard=4096, backlog=1024, program="daphne", address="127.0.0.1"):
    return Server(12, program, Limit(soft, hard), (Listener(address, 8000, backlog),))


def one(findings):
    [found] = findings
    assert (found.fix == "") == (found.level == "ok"), found
    assert found.why == WHY[found.check]
    return found


# Files


@pytest.mark.parametrize(
    ("clients", "limit", "level"),
    [
        (100, Limit(1024, 4096), "ok"),
        (100, Limit(128, 128), "warning"),
        (100, Limit(100, 4096), "error"),
        (20_000, Limit(1024, 4096), "error"),
        (20_000, Limit(None, None), "ok"),
        (-1, Limit(1024, 4096), "warning"),
        (-1, Limit(65536, 65536), "ok"),
        (0, Limit(256, 256), "ok"),
    ],
)
def test_open_files_of_this_shell(kernel, clients, limit, level):
    found = one(kernel(clients, own_files=limit).open_files())

    assert found.level == level
    assert "this shell" in found.found


def test_the_way_to_more_files(kernel):
    assert "ulimit -n 65536" in one(kernel(2000, own_files=Limit(1024, None)).open_files()).fix


def test_no_more_files_than_the_hard_limit(kernel):
    assert "ulimit -n 4096" in one(kernel(2000, own_files=Limit(1024, 4096)).open_files()).fix


def test_beyond_the_hard_limit_only_root_helps(kernel):
    fix = one(kernel(5000, own_files=Limit(1024, 4096)).open_files()).fix

    assert "LimitNOFILE=65536" in fix
    assert "ulimit -n" not in fix.replace("--ulimit nofile", "")


def test_open_files_of_every_server(kernel):
    first, second = kernel(servers=[server(), server(soft=64)], own_files=None).open_files()

    assert (first.level, second.level) == ("ok", "error")
    assert "daphne (process 12)" in second.found


def test_files_of_the_whole_machine(kernel):
    assert one(kernel().system_files()).level == "ok"


def test_too_few_files_of_the_whole_machine(kernel):
    found = one(kernel(60_000, servers=[server(), server()]).system_files())

    assert found.level == "error"
    assert "2 x 60,000" in found.found
    assert "sysctl -w fs.file-max=" in found.fix


# Ports


@pytest.mark.parametrize(("clients", "level"), [(100, "ok"), (-1, "ok"), (28_232, "warning"), (50_000, "warning")])
def test_ports(kernel, clients, level):
    found = one(kernel(clients).ports())

    assert found.level == level
    assert "28,232 (32768 to 60999)" in found.found


def table(number, *, remote="0100007F:1F40", state="06"):
    return "head\n" + "".join(f"  {n}: 0100007F:{40000 + n:04X} {remote} {state} rest\n" for n in range(number))


def test_sockets_in_time_wait(kernel):
    listening = "  0: 0100007F:1F40 00000000:0000 0A rest\n"
    served = "  1: 0100007F:1F40 0100007F:9C40 06 rest\n"
    found = one(kernel(net__tcp=table(10) + listening + served, net__tcp6=table(5)).time_wait())

    assert found.level == "ok"
    assert found.found == "16 sockets; connections to one address (port 8000) hold 15 ports of 28,232"


def test_too_many_sockets_in_time_wait(kernel):
    found = one(kernel(net__tcp=table(900), sys__net__ipv4__ip_local_port_range="40000 41000\n").time_wait())

    assert found.level == "warning"
    assert "hold 900 ports of 1,001" in found.found
    assert "tcp_tw_reuse=1" in found.fix


# Backlogs


@pytest.mark.parametrize(("clients", "value", "level"), [(100, 128, "ok"), (1000, 128, "warning"), (-1, 4096, "ok")])
def test_somaxconn(kernel, clients, value, level):
    found = one(kernel(clients, sys__net__core__somaxconn=f"{value}\n").somaxconn())

    assert found.level == level


@pytest.mark.parametrize(
    ("running", "level", "fix"),
    [
        (server(), "ok", ""),
        (server(backlog=50), "warning", "daphne --endpoint 'tcp:port=8000:interface=127.0.0.1:backlog=4096'"),
        (server(backlog=50, address="::1"), "warning", r"interface=\:\:1:backlog"),
        (server(backlog=50, program="uvicorn"), "warning", "--backlog 4096"),
    ],
)
def test_backlog(kernel, running, level, fix):
    found = one(kernel(servers=[running]).backlog())

    assert found.level == level
    assert fix in found.fix


def test_a_backlog_that_is_not_to_be_seen(kernel):
    assert "no server runs here" in one(kernel().backlog()).found


def test_a_backlog_of_somebody_elses_process(kernel):
    assert "is not ours to see" in one(kernel(servers=[Server(1, "daphne", None, ())]).backlog()).found


# Memory


@pytest.mark.parametrize(
    ("clients", "level"),
    [
        (100, "ok"),
        (-1, "ok"),
        (int(0.8 * 4 * GIBIBYTE / CLIENT_BYTES), "warning"),
        (int(4 * GIBIBYTE / CLIENT_BYTES), "error"),
    ],
)
def test_memory_of_the_machine(kernel, clients, level):
    found = one(kernel(clients).memory())

    assert found.level == level
    assert "4.0 GiB left on this machine" in found.found


V1_LINES = "5:cpuacct:/x\n4:memory:/docker/abc\n0::/\n"


@pytest.mark.parametrize(
    ("lines", "groups"),
    [
        (
            "0::/system.slice/live.service\n",
            {
                "system.slice/live.service/memory.max": "max\n",
                "system.slice/live.service/memory.current": "1\n",
                "system.slice/memory.max": str(2**28),
                "system.slice/memory.current": str(2**27 + 2**26),
                "system.slice/memory.stat": f"anon 1\ninactive_file {2**26}\n",
            },
        ),
        (
            V1_LINES,
            {
                "memory/docker/abc/memory.limit_in_bytes": str(2**28),
                "memory/docker/abc/memory.usage_in_bytes": str(2**27 + 2**26),
                "memory/docker/abc/memory.stat": f"cache 1\ntotal_inactive_file {2**26}\n",
                "memory/memory.limit_in_bytes": "9223372036854771712",
                "memory/memory.usage_in_bytes": "1",
            },
        ),
        # A container that does not see where its group is.
        (V1_LINES, {"memory/memory.limit_in_bytes": str(2**27), "memory/memory.usage_in_bytes": "0"}),
    ],
)
def test_memory_of_the_control_group(kernel, lines, groups):
    room = one(kernel(500, self__cgroup=lines, cgroups=groups).memory())

    assert room.found.startswith("128 MiB left in its control group")
    assert room.level == "warning"
    assert 500 * CLIENT_BYTES + PROCESS_BYTES < 2**27


def test_memory_of_the_servers_own_group(kernel):
    groups = {"live/memory.max": str(2**20), "live/memory.current": "0"}
    found = one(kernel(servers=[server()], cgroups=groups, **{"12__cgroup": "0::/live\n"}).memory())

    assert found.level == "error"
    assert "1 MiB left in its control group; about 3 MiB" in found.found


# Elsewhere


def test_where_the_kernel_tells_nothing(kernel):
    machine = kernel(own_files=None, **{name.replace("/", "__"): None for name in FILES})
    looks = [machine.open_files, machine.system_files, machine.ports, machine.time_wait, machine.somaxconn]

    for look in [*looks, machine.backlog, machine.memory]:
        found = one(look())
        assert found.level == "ok"
        assert "not known here" in found.found


# The real kernel


APPLICATION = f"tests.commands.doctor_application.served_by_{os.getpid()}"


@pytest.fixture
def start_server(tmp_path):
    """Starts servers of an application that nobody else on this machine serves."""
    processes = []

    def start(endpoint="", files=None):
        port = free_port()
        where = ["-e", f"tcp:port={port}:interface=127.0.0.1{endpoint}"] if endpoint else ["-p", str(port)]
        module, _, name = APPLICATION.rpartition(".")
        command = [sys.executable, "-m", "daphne", *where, f"{module}:{name}"]
        with (tmp_path / "log").open("ab") as log:
            process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        processes.append(process)
        wait_until(lambda: listens(port), (tmp_path / "log").read_text)
        if files:
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, files)
        return process, port

    yield start
    for process in processes:
        process.terminate()
        process.wait(40)


def test_what_daphne_got(start_server):
    assert find_servers(APPLICATION) == []
    plain, plain_port = start_server()
    better, port = start_server(":backlog=1024", files=(200, 300))

    assert find_servers(APPLICATION, port) == [
        Server(better.pid, "daphne", Limit(200, 300), (Listener("127.0.0.1", port, 1024),))
    ]
    # Twisted's own: what the backlog check is for.
    [found] = find_servers(APPLICATION, plain_port)
    assert found.pid == plain.pid
    assert found.listeners == (Listener("127.0.0.1", plain_port, 50),)
    # A port that none of them listens on is a proxy's.
    assert [found.pid for found in find_servers(APPLICATION, free_port())] == sorted([plain.pid, better.pid])


def test_this_machine():
    machine = Machine(100, [], own_files=Limit(1024, 1024))

    for look in (machine.system_files, machine.ports, machine.time_wait, machine.somaxconn, machine.memory):
        assert "not known" not in one(look()).found
    assert os.path.exists("/proc/self")
