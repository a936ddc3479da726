"""The files of deploy/ with the addresses of one machine in place of those that are written there.

What runs is what is shipped: nothing but the texts named is changed, and a text that is not there is an error.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from project.bootstrap import debian
from project.bootstrap.steps import ROOT, SetupError

FOLDER = ROOT / "deploy"


def rendered(name: str, changes: Mapping[str, str]) -> str:
    """The text of ``deploy/<name>`` with every occurrence of each key replaced by its value.

    Raises SetupError for a key that the file does not hold.
    """
    text = (FOLDER / name).read_text()
    if missing := [old for old in changes if old not in text]:
        raise SetupError(f"deploy/{name} no longer holds: {' | '.join(missing)}")
    for old, new in changes.items():
        text = text.replace(old, new)
    return text


def nginx_command(folder: Path, listen: str, nodes: Sequence[str]) -> list[str]:
    """Writes deploy/nginx.conf for two nodes into `folder` and returns the command that runs it in the foreground.

    `listen` and `nodes` are host:port. All that nginx writes goes into `folder` too: nginx.log, access.log, nginx.pid.
    """
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    folders = "".join(f"    {kind}_temp_path {folder}/{kind};\n" for kind in kinds)
    first, second = nodes
    changes = {
        "\nhttp {\n": f"\nhttp {{\n{folders}",
        "/var/log/nginx/access.log": f"{folder}/access.log",
        "listen 80 ": f"listen {listen} ",
        "server web-1:8000 ": f"server {first} ",
        "server web-2:8000 ": f"server {second} ",
    }
    path = folder / "nginx.conf"
    path.write_text(rendered("nginx.conf", changes))
    # Workers of a master that is root would be nobody, who may not look into this folder.
    user = "user root; " if os.geteuid() == 0 else ""
    main = f"daemon off; {user}pid {folder}/nginx.pid;"
    return [debian.program(debian.NGINX), "-p", str(folder), "-e", f"{folder}/nginx.log", "-c", str(path), "-g", main]
