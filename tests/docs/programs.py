"""What each command of a block of shell is held against: the parser it will meet, the site, the files it names."""

import argparse
import json
import re
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from urllib.parse import urlsplit

import yaml
from daphne.cli import CommandLineInterface
from django.core.management import get_commands, load_command_class
from packaging.requirements import Requirement

from live.commands.doctor.finding import WHY, warning
from tests.docs.pages import ROOT
from tests.docs.shell import Command, commands, expand

STANDS_FOR_A_SITE = {"127.0.0.1:8000", "example.com", "live.example.com"}
"""Hosts of the pages, in place of which requests go to the site of the tests."""

ON_THE_SITE = {"push", "publish", "channels"}
"""Subcommands of `manage.py live` that are run; the others wait, look at the machine or change the database."""


def check_shell(block, reader):
    """Checks every command of a block of shell; `reader` has the variables of those before it."""
    for command in commands(block.text):
        if command.words:
            assert command.words[0] in PROGRAMS, f"no check knows the program {command.words[0]}"
        names = {name: expand(value, reader.variables) for name, value in command.assigned.items()}
        if command.words:
            words = [expand(word, reader.variables | names) for word in command.words]
            PROGRAMS[words[0]](Command(words[1:], names, command.before), reader)
        else:
            # What a command prints is one of the values that are known: the token of the site.
            reader.variables |= {name: value for name, value in names.items() if value != "printed"}


def on_the_site(url, reader):
    """That address, at the site of the tests."""
    parts = urlsplit(url)
    assert parts.netloc in STANDS_FOR_A_SITE, f"{parts.netloc} stands for no site"
    return reader.site.url + parts._replace(scheme="", netloc="").geturl()


def exists(name):
    """Fails where the repository has no such file."""
    assert (ROOT / name).exists(), f"{name} is nowhere"


# Python


def python(command, reader):
    first, *rest = command.words
    if first == "-m":
        module, *rest = rest
        assert find_spec(module), f"there is no module {module}"
        for word in rest:
            if "/" in word:
                exists(word)
        return
    assert first == "manage.py", f"{first} is no file of a project"
    manage(rest, command, reader)


def manage(words, command, reader):
    """A command of Django: its own parser reads the words; some of `live` are run, on the site."""
    name, *rest = words
    found = load_command_class(OF_OTHER_APPS.get(name) or get_commands()[name], name)
    options = vars(found.create_parser("manage.py", name).parse_args(rest))
    if name == "live" and options["subcommand"] in ON_THE_SITE:
        live(rest, options, command.before, reader)


OF_OTHER_APPS = {"spectacular": "drf_spectacular"}
"""Commands of apps that the demo does not have."""

LINES = "cpu,host=a usage=1.5\nmem,host=a used_percent=20\n"
"""What files and pipes hold that are pushed."""


def live(words, options, before, reader):
    """Runs a subcommand with the address of the site and the token that the page has set."""
    words = [on_the_site(word, reader) if word == options["url"] else word for word in words]
    if before is None and "file" in options:
        (reader.folder / options["file"]).write_text(LINES)
    done = subprocess.run(
        [sys.executable, ROOT / "manage.py", "live", *words],
        cwd=reader.folder,
        env=reader.site.env | {"LIVE_TOKEN": reader.variables["LIVE_TOKEN"]},
        input=before and LINES,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def pip(command, reader):
    """`pip install`: this package, and extras that it has."""
    action, *wanted = command.words
    assert action == "install"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for word in wanted:
        requirement = Requirement(word)
        assert requirement.name == project["name"]
        assert requirement.extras <= set(project["optional-dependencies"])


def make(command, reader):
    """A target of the Makefile; what is assigned after it is one of those that the help names."""
    text = (ROOT / "Makefile").read_text()
    targets = set(re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)[1].split())
    target, *assigned = command.words
    assert target in targets, f"make {target}"
    for word in assigned:
        assert f"{word.partition('=')[0]}=" in text, word


def daphne(command, reader):
    CommandLineInterface().parser.parse_args(command.words)


# Requests


def curl(command, reader):
    """Sends the request to the site; the answer is what the next block of JSON is compared with."""
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("-i", "--include", action="store_true")
    parser.add_argument("-s", "--silent", action="store_true")
    parser.add_argument("-X", "--request")
    parser.add_argument("-H", "--header", action="append", default=[])
    parser.add_argument("-d", "--data", "--data-binary", dest="data")
    parser.add_argument("url")
    given = parser.parse_args(command.words)
    headers = dict(header.split(": ", 1) for header in given.header)
    assert not (given.data or "").startswith("@"), "no check knows which file this is"
    method = given.request or ("GET" if given.data is None else "POST")
    path = on_the_site(given.url, reader).removeprefix(reader.site.url)
    # urllib sends data with the type that curl sends it with.
    status, body = reader.site.request(method, path, given.data, **headers)
    assert 200 <= status < 300, (status, body)
    reader.answer = json.loads(body) if body else None


# What others print or run


def jq(command, reader):
    """The filter names keys that the command before it prints."""
    (text,) = command.words
    finding = warning(next(iter(WHY)), "found", "fix").as_dict()
    keys = {"listen": {"channel", "data", "offset", "info"}, "doctor": set(finding)}
    _, _, _, subcommand, *options = command.before.words
    assert "--json" in options
    named = set(re.findall(r"\.([a-z_]+)", text))
    assert named
    assert named <= keys[subcommand]


def telegraf(command, reader):
    assert command.words == ["--test"]


def openssl(command, reader):
    """A token as docker-compose.yml wants it."""
    assert command.words == ["rand", "-hex", "20"]
    assert "40 hexadecimal digits" in (ROOT / "docker-compose.yml").read_text()


def docker(command, reader):
    """`docker compose`: services, profiles and variables are those of docker-compose.yml."""
    text = (ROOT / "docker-compose.yml").read_text()
    services = yaml.safe_load(text)["services"]
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--profile")
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("up").add_argument("--build", action="store_true")
    actions.add_parser("kill").add_argument("services", nargs="+", choices=list(services))
    assert command.words[0] == "compose"
    given = parser.parse_args(command.words[1:])
    profiles = {profile for service in services.values() for profile in service.get("profiles", [])}
    assert given.profile is None or given.profile in profiles
    for name, value in command.assigned.items():
        assert f"${{{name}" in text, f"docker-compose.yml reads no ${name}"
        if name == "LIVE_REDIS_URL":
            assert urlsplit(value).hostname in services


PROGRAMS = {
    "python": python,
    ".venv/bin/python": python,
    "pip": pip,
    "make": make,
    "daphne": daphne,
    "curl": curl,
    "jq": jq,
    "telegraf": telegraf,
    "openssl": openssl,
    "docker": docker,
}
"""By their names; a command of another program needs a check of its own."""
