"""What the demo starts with: two dashboards over the streams of the demo's agent (`stream/host/...`)."""


def _panel(panel_id, kind, title, channel, fields, grid, *, labels="", unit=""):
    x, y, w, h = grid
    return {
        "id": panel_id,
        "type": kind,
        "title": title,
        "channel": f"stream/host/{channel}",
        "fields": fields,
        "labels": labels,
        "unit": unit,
        "grid": {"x": x, "y": y, "w": w, "h": h},
    }


CPU = "cpu=cpu-total"

DASHBOARDS = {
    "machine": (
        "This machine",
        [
            _panel("cpu-now", "stat", "CPU in use", "cpu", ["usage_user"], (0, 0, 3, 2), labels=CPU, unit="percent"),
            _panel("mem-now", "stat", "Memory in use", "mem", ["used_percent"], (3, 0, 3, 2), unit="percent"),
            _panel("load-now", "stat", "Load, one minute", "system", ["load1"], (6, 0, 3, 2)),
            _panel("disk-now", "stat", "Disk in use", "disk", ["used_percent"], (9, 0, 3, 2), unit="percent"),
            _panel(
                "cpu",
                "timeseries",
                "CPU",
                "cpu",
                ["usage_user", "usage_system", "usage_iowait"],
                (0, 2, 6, 4),
                labels=CPU,
                unit="percent",
            ),
            _panel("mem", "timeseries", "Memory", "mem", ["used", "available"], (6, 2, 6, 4), unit="bytes"),
            _panel("load", "timeseries", "Load average", "system", ["load1", "load5", "load15"], (0, 6, 6, 4)),
            _panel(
                "net",
                "timeseries",
                "Network",
                "net",
                ["bytes_recv_rate", "bytes_sent_rate"],
                (6, 6, 6, 4),
                unit="bytes/s",
            ),
        ],
    ),
    "details": (
        "Cores, disks and interfaces",
        [
            _panel("cores", "timeseries", "Each core, user", "cpu", ["usage_user"], (0, 0, 8, 4), unit="percent"),
            _panel("free", "stat", "Free on disk", "disk", ["free"], (8, 0, 4, 2), unit="bytes"),
            _panel("mem-free", "stat", "Memory available", "mem", ["available"], (8, 2, 4, 2), unit="bytes"),
            _panel("recv", "timeseries", "Received", "net", ["bytes_recv_rate"], (0, 4, 6, 4), unit="bytes/s"),
            _panel("sent", "timeseries", "Sent", "net", ["bytes_sent_rate"], (6, 4, 6, 4), unit="bytes/s"),
            _panel("raw", "raw", "Messages of the load stream", "system", [], (0, 8, 12, 4)),
        ],
    ),
}
"""uid -> (title, panels). The uids are fixed, so that a second start finds what the first one made."""
