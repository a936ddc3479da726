"""What would be a mistake on a page is found: a block that is wrong, or of a kind that nobody looks at."""

import pytest

from tests.docs import python
from tests.docs.markdown import Block, code_blocks
from tests.docs.reader import Reader
from tests.docs.test_blocks import check

WRONG = {
    "a kind without a check": ("ruby", "puts 1\n"),
    "no kind": ("", "something\n"),
    "another program": ("sh", "wget https://example.com/\n"),
    "another program behind a pipe": ("sh", "make test | tee log\n"),
    "another program inside": ("sh", "export A=$(pwgen 20)\n"),
    "a target that there is not": ("sh", "make coffee\n"),
    "another package": ("sh", "pip install channels\n"),
    "an extra that there is not": ("sh", "pip install 'channels-live[tea]'\n"),
    "another subcommand": ("sh", "python manage.py live pull\n"),
    "another option": ("sh", "python manage.py live channels --prefixes a\n"),
    "a command that there is not": ("sh", "python manage.py migrations\n"),
    "a file that there is not": ("sh", "python -m pytest tests/nothing\n"),
    "a module that there is not": ("sh", "python -m nothing\n"),
    "a variable that nobody set": ("sh", 'curl "$ADDRESS/list"\n'),
    "another site": ("sh", "curl https://example.org/api/live/list\n"),
    "another service": ("sh", "docker compose kill web-9\n"),
    "another variable": ("sh", "COLOUR=red docker compose up\n"),
    "an option of daphne": ("sh", "daphne --threads 4 mysite.asgi:application\n"),
    "a key that is not printed": ("sh", "python manage.py live doctor --json | jq '.[].colour'\n"),
    "no JSON": ("json", "{'a': 1}\n"),
    "an answer to nothing": ("json", '{"channels": []}\n'),
    "no TOML": ("toml", "a: 1\n"),
    "another table": ("toml", "[tool.ruff]\nline-length = 120\n"),
    "another output": ("toml", '[[outputs.file]]\nfiles = ["stdout"]\n'),
    "no YAML": ("yaml", "a: [1\n"),
    "another file": ("yaml", "services: {}\n"),
    "an element that is not closed": ("html", "<p>Text\n"),
    "a tag that there is not": ("html", "{% load live %}{% live_chart %}\n"),
    "a script that is none": ("html", '<script type="module">let = ;</script>\n'),
    "an import that there is not": ("js", 'import { watch } from "/static/live/live.js";\n'),
    "a type that there is not": ("ts", 'import { type Frames } from "/static/live/live.js";\n'),
    "a property that there is not": ("css", "live-panel { --live-colour: red; }\n"),
    "another element": ("css", "live-chart { --live-height: 1rem; }\n"),
    "half a rule": ("css", "live-panel { --live-height: 1rem;\n"),
    "a text that nobody knows": ("text", "Lorem ipsum\n"),
    "a wrong sum": ("text", "clients   100 * 2 / 10 = 21 MB\n"),
    "another policy": ("text", "script-src 'unsafe-inline'\n"),
    "another front": ("text", "browsers ──► squid ──► node\n"),
    "what doctor does not say": (
        "text",
        "warning  somaxconn            128 for 1,000 clients\n                         why  Nobody knows.\n",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_it_is_found(wrong, tmp_path):
    language, text = WRONG[wrong]
    reader = Reader(None, tmp_path, {"LIVE_TOKEN": "0"})
    # The parsers of commands end the process.
    with pytest.raises((Exception, SystemExit)):
        check(Block(language, 1, text), reader)


def test_a_block_that_is_indented_only_is_found(tmp_path):
    (block,) = code_blocks("Text:\n\n    make test\n")
    with pytest.raises(AssertionError, match="indented only"):
        check(block, Reader(None, tmp_path))


def test_an_answer_of_another_shape_is_found(tmp_path):
    for text in ('{"b": 1}', '{"a": "1"}', '{"a": 1, "b": 2}', "[]", '{"a": [{}]}'):
        with pytest.raises(AssertionError):
            check(Block("json", 1, text), Reader(None, tmp_path, answer={"a": 1}))
    check(Block("json", 1, '{"a": 2.5}'), Reader(None, tmp_path, answer={"a": 1}))


@pytest.mark.parametrize(
    "settings",
    [
        {"LIVE": {"ALLOW_ANONYMUS": True}},
        {"LIVE": {"MAX_CONNECTIONS": "many"}},
        {"LIVES": {}},
        {"CHANNEL_LAYERS": {"default": {"BACKEND": "channels_redis.core.RedisChannelLayer"}}},
        {"INSTALLED_APPS": ["nothing"]},
        {"REST_FRAMEWORK": {"DEFAULT_SCHEMA": "x"}},
        {"REST_FRAMEWORK": {"DEFAULT_SCHEMA_CLASS": "nothing.Here"}},
        {"LOGGING": {"version": 1, "loggers": {"live": {"handlers": ["nothing"]}}}},
    ],
    ids=str,
)
def test_wrong_settings_are_found(settings):
    with pytest.raises((Exception, AssertionError)):
        python.check_settings(settings)
