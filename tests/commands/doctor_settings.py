"""The settings of test sites, with what a test of `doctor` changes in the environment."""

import json
import os

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.commands.doctor_patience.Patience"]

globals().update(json.loads(os.environ.get("DOCTOR_TEST_SETTINGS", "{}")))
