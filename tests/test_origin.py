"""The origin check: the cases of grafana-live §8, and the globs."""

import pytest

from live.origin import compile_pattern, origin_allowed


@pytest.mark.parametrize(
    ("origin", "root_url", "patterns", "host", "allowed"),
    [
        ("", "http://localhost:3000/", [], "", True),
        ("http://localhost:3000", "http://localhost:3000/", [], "", True),
        ("https://www.example.com", "https://www.example.com:443/grafana/", [], "", True),
        ("http://localhost:8000", "http://localhost:3000/", [], "", False),
        (":::http://localhost:8000", "http://localhost:3000/", [], "", False),
        ("http://example.com", "https://example.com", [], "", False),
        ("https://examplE.com", "https://example.com", [], "", True),
        ("https://test.example.com", "https://example.com", ["https://test.example.com"], "", True),
        ("https://test.example.com", "https://example.com", ["https://*.example.com"], "", True),
        ("https://anything.else", "https://example.com", ["*"], "", True),
        ("http://example.com", "https://example.com", [], "example.com", True),
        # Ours.
        (None, "", [], "example.com", True),
        ("http://example.com:8000", "", [], "EXAMPLE.com:8000", True),
        ("http://evil.com", "", [], "example.com", False),
        ("http://evil.com", "", ["https://*.example.com", "*.org"], "example.com", False),
        ("null", "", [], "example.com", False),
        ("http://[::1", "", [], "[::1", False),
        ("http://a:99999", "", [], "a:99999", False),
        ("https://a.example.com.evil.com", "", ["https://*.example.com"], "", False),
    ],
)
def test_origins(origin, root_url, patterns, host, allowed):
    assert origin_allowed(origin, host=host, root_url=root_url, patterns=patterns) is allowed


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("https://*", "https://a.b:80/c", True),
        ("http://?.com", "http://a.com", True),
        ("http://?.com", "http://ab.com", False),
        ("http://[ab].com", "http://b.com", True),
        ("http://[!ab].com", "http://b.com", False),
        ("http://{a,b*}.com", "http://bcd.com", True),
        ("http://{a,b}.com", "http://c.com", False),
        ("http://a.com", "http://axcom", False),
    ],
)
def test_patterns(pattern, text, matches):
    assert bool(compile_pattern(pattern).fullmatch(text)) is matches


@pytest.mark.parametrize("pattern", ["http://[a", "http://{a", "http://a}", "http://[z-a]", "http://[!]"])
def test_broken_patterns_say_so(pattern):
    with pytest.raises(ValueError, match="origin pattern"):
        compile_pattern(pattern)
