"""Channel names: the rules of grafana-live §1.1, both ways."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from live.channel import MAX_LENGTH, Channel
from live.exceptions import InvalidChannel

PART = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
PATH = PART + "/=."

parts = st.text(PART, min_size=1, max_size=40)
paths = st.text(PATH, min_size=1, max_size=78)


@pytest.mark.parametrize(
    "text",
    [
        "aaa/bbb/ccc",
        "Stream/cpu/test",
        "stream/cpu/test",
        "grafana/test/path/dash-and-equal=1.1.1.1",
        "a/b//c",
        "a/b/c/",
        "a/b/" + "c" * (MAX_LENGTH - 4),
    ],
)
def test_valid_names_are_parsed_and_formatted_back(text):
    assert str(Channel.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "part", "rule"),
    [
        ("", "name is empty", "scope/namespace/path"),
        ("grafana", "namespace and path missing", "scope/namespace/path"),
        ("stream/test", "path missing", "scope/namespace/path"),
        ("/b/c", "scope is empty", ""),
        ("a//c", "namespace is empty", ""),
        ("a/b/", "path is empty", ""),
        ("stream/test/%", "path holds '%'", "'='"),
        ("stream/cpu/ test", "path holds ' '", ""),
        ("stream/cpu/ѓ", "path holds '\\u0453'", ""),
        ("grafana=/test=/path", "scope holds '='", "only letters, digits, '_' and '-'"),
        ("watch/dashboard.app/x", "namespace holds '.'", ""),
        ("a.b/c/d", "scope holds '.'", ""),
        ("a/b/c[", "path holds '['", ""),
        ("a^/b/c", "scope holds '^'", ""),
        ("a/b\\/c", "namespace holds '\\\\'", ""),
        ("a/b/c\n", "path holds '\\n'", ""),
        ("a/b/" + "c" * (MAX_LENGTH - 3), "161", "at most 160"),
        ("a" * 1_000_000, "1000000", "at most 160"),
    ],
)
def test_invalid_names_say_which_part_and_which_rule(text, part, rule):
    with pytest.raises(InvalidChannel) as caught:
        Channel.parse(text)
    assert part in caught.value.message
    assert rule in caught.value.message
    assert caught.value.code == 400


@given(parts, parts, paths)
def test_every_name_made_of_valid_parts_comes_back_the_same(scope, namespace, path):
    channel = Channel(scope, namespace, path)
    assert Channel.parse(str(channel)) == channel
    assert (channel.scope, channel.namespace, channel.path) == (scope, namespace, path)


@given(st.text(max_size=200))
def test_any_text_is_a_channel_that_formats_back_or_is_refused(text):
    try:
        channel = Channel.parse(text)
    except InvalidChannel:
        return
    assert str(channel) == text
    assert len(text.encode()) <= MAX_LENGTH
    assert set(channel.scope + channel.namespace) <= set(PART)
    assert set(channel.path) <= set(PATH)


def test_the_module_does_not_import_django():
    code = "import sys, live.channel; sys.exit(any(name.split('.')[0] == 'django' for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
