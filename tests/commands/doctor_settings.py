"""The settings of test sites, with what a test of `doctor` changes in the environment."""

import json
import os

from tests.settings import *  # noqa: F403

globals().update(json.loads(os.environ.get("DOCTOR_TEST_SETTINGS", "{}")))
