"""Runs the Python of a page, and lets Django and `live` judge what it shows of a project's settings and files."""

import contextlib
import logging
import re
import sys
import types
from logging.config import DictConfigurator

from channels.layers import get_channel_layer
from django.apps import AppConfig
from django.conf import global_settings
from django.core.checks import WARNING, run_checks
from django.test import override_settings
from django.urls import URLPattern, URLResolver
from rest_framework.settings import DEFAULTS, api_settings

from live.handlers import registry as handlers
from live.plugins import registry as plugins
from tests.docs.markdown import code_blocks
from tests.docs.pages import ROOT

KNOWN_SETTINGS = {"ASGI_APPLICATION", "CHANNEL_LAYERS", "LIVE", "REST_FRAMEWORK"} | {
    name for name in dir(global_settings) if name.isupper()
}

FILE = re.compile(r"# (\w+(?:/\w+)*)\.py\b")
"""The first line of a block that is a file."""


@contextlib.contextmanager
def running(page, changed=None, **names):
    """The namespace after all Python blocks of a page, one after the other; `names` are there before the first.

    `changed` has texts of the page and what stands for them here, as the address of a site.

    What a block shows of settings, URLs and applications is checked on the way. Handlers and plugins that the blocks
    register are gone afterwards, and so are the modules that they are.
    """
    module = types.ModuleType(page.removesuffix(".md").replace("/", "."))
    vars(module).update(names)
    before = set(sys.modules)
    kept = dict(handlers._registered), dict(plugins._registered)
    try:
        for block in code_blocks((ROOT / page).read_text()):
            if block.language == "python":
                run(block, page, module, changed or {})
        yield module
    finally:
        for name in set(sys.modules) - before:
            if sys.modules[name] is module or getattr(sys.modules[name], "of_the_page", False):
                del sys.modules[name]
        for registered, was in zip((handlers._registered, plugins._registered), kept, strict=True):
            registered.clear()
            registered.update(was)
        handlers._reset(setting="LIVE")
        plugins._reset(setting="LIVE")


def run(block, page, module, changed):
    """Runs one block in the module."""
    if named := FILE.match(block.text):
        name_module(module, *named[1].rpartition("/")[::2])
    text = block.text
    for shown, here in changed.items():
        text = text.replace(shown, here)
    if re.match(r'"\w+": ', text):
        # A part of a dictionary.
        text = f"part = {{{text}}}"
    # The traceback has the line of the page.
    code = compile("\n" * block.line + text, page, "exec")
    was = dict(vars(module))
    exec(code, vars(module))
    new = {name: value for name, value in vars(module).items() if was.get(name, was) is not value}
    check_settings({name: value for name, value in new.items() if name in KNOWN_SETTINGS or is_settings(block, name)})
    for pattern in new.get("urlpatterns", ()):
        # Dots stand for the project's own.
        assert pattern is ... or isinstance(pattern, URLPattern | URLResolver), pattern
    assert callable(new.get("application", callable))


def is_settings(block, name):
    """Whether a name would be a setting where the block stands."""
    return name.isupper() and block.first.startswith("# settings.py")


def name_module(module, folder, name):
    """Lets the module be imported as that file; one without a folder is the project's."""
    package = folder.replace("/", ".") or "mysite"
    if package not in sys.modules:
        sys.modules[package] = types.ModuleType(package)
        sys.modules[package].of_the_page = True
    setattr(sys.modules[package], name, module)
    sys.modules[f"{package}.{name}"] = module


def check_settings(shown):
    """Fails where a setting is unknown, or the checks of `live` find something wrong with it."""
    shown = dict(shown)
    assert set(shown) <= KNOWN_SETTINGS, f"no settings: {set(shown) - KNOWN_SETTINGS}"
    for entry in shown.pop("INSTALLED_APPS", ()):
        # Dots stand for the project's own.
        assert entry is ... or AppConfig.create(entry)
    if "LOGGING" in shown:
        check_logging(shown.pop("LOGGING"))
    with override_settings(**shown):
        found = [message for message in run_checks(tags=["live"]) if message.level >= WARNING]
        assert found == []
        if "CHANNEL_LAYERS" in shown:
            assert get_channel_layer() is not None
        for name in shown.get("REST_FRAMEWORK", {}):
            assert name in DEFAULTS
            # Imports what it names.
            assert getattr(api_settings, name) is not None


def check_logging(config):
    """Makes what it names; to configure logging with it would close the handlers that there are."""
    configurator = DictConfigurator(config)
    formatters, outputs = (configurator.config.get(kind, {}) for kind in ("formatters", "handlers"))
    for name in formatters:
        formatters[name] = configurator.configure_formatter(formatters[name])
    for name in outputs:
        outputs[name] = configurator.configure_handler(outputs[name])
    for logger in config["loggers"].values():
        assert set(logger.get("handlers", ())) <= set(outputs)
        assert isinstance(logging.getLevelName(logger["level"]), int)
