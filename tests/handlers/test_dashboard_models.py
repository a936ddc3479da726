"""Dashboards whose uid, version or class is out of the ordinary, in a project of its own."""

import os
import subprocess
import sys

from tests.site import ROOT


def test_models_of_every_shape():
    command = ["-m", "pytest", "--ds=tests.dashboard_models.settings", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, *command, "tests/dashboard_models/cases.py"],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "DJANGO_"))},
        check=False,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
