"""The template tags, what they write for the elements, and docs/embedding.md, each block of which is checked."""

import json
import re
import shutil
import sys
import types
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.contrib.staticfiles.storage import ManifestStaticFilesStorage
from django.template import Context, Template, TemplateSyntaxError
from django.test import RequestFactory, override_settings
from django.utils.functional import SimpleLazyObject

import live
from live.templatetags import live as tags

ROOT = Path(__file__).resolve().parent.parent
STATIC = ROOT / "live" / "static" / "live"
PAGE = (ROOT / "docs" / "embedding.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


class Elements(HTMLParser):
    """The elements of a text, as (name, attributes, text behind its start)."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.found.append([tag, dict(attrs), ""])

    def handle_data(self, data):
        if self.found:
            self.found[-1][2] += data


def render(text, **context):
    return Elements(Template("{% load live %}" + text).render(Context(context))).found


def script(**context):
    """What `live_script` writes: (configuration, attributes of the script)."""
    (_, config, text), (_, attributes, _) = render("{% live_script %}", **context)
    assert config == {"id": "live-config", "type": "application/json"}
    return json.loads(text), attributes


def test_the_script_and_its_configuration():
    config, attributes = script()
    assert attributes == {"type": "module", "src": "/static/live/elements.js"}
    assert (config["url"], config["enabled"], config["announce"]) == ("", True, True)
    with override_settings(LIVE={"MAX_CONNECTIONS": 0}):
        assert script()[0]["enabled"] is False
    (_, _, text), _ = render("{% live_script url=url announce=False %}", url="wss://example.com/</script>")
    assert json.loads(text)["url"] == "wss://example.com/</script>"
    assert json.loads(text)["announce"] is False


class LazyNonce(SimpleLazyObject):
    """As Django's and django-csp's: false until it is read."""

    def __init__(self):
        self.__dict__["made"] = False
        super().__init__(self._make)

    def _make(self):
        self.__dict__["made"] = True
        return "lazy"

    def __bool__(self):
        return self.__dict__["made"]


def test_the_nonce_of_the_context():
    assert script(csp_nonce="abc")[1]["nonce"] == "abc"
    nonce = LazyNonce()
    assert script(csp_nonce=nonce)[1]["nonce"] == "lazy"
    assert nonce


def test_the_nonce_of_django_csp():
    request = RequestFactory().get("/")
    request.csp_nonce = LazyNonce()
    assert script(request=request)[1]["nonce"] == "lazy"


def test_the_nonce_of_django_itself(monkeypatch):
    middleware = types.SimpleNamespace(get_nonce=lambda request: getattr(request, "_csp_nonce", None))
    monkeypatch.setattr(tags, "_csp", middleware)
    request = RequestFactory().get("/")
    assert "nonce" not in script(request=request)[1]
    request._csp_nonce = LazyNonce()
    assert script(request=request)[1]["nonce"] == "lazy"


def test_a_panel():
    ((name, attributes, _),) = render(
        '{% live_panel channel="stream/host/cpu" fields=fields title=title unit="percent" labels="cpu=cpu-total" %}',
        fields=["a", "b"],
        title='5" <b>disk</b> & more',
    )
    assert name == "live-panel"
    assert attributes == {
        "channel": "stream/host/cpu",
        "fields": "a,b",
        "type": "timeseries",
        "title": '5" <b>disk</b> & more',
        "unit": "percent",
        "labels": "cpu=cpu-total",
    }


def test_texts_between_quotes_of_the_template_are_texts_too():
    ((_, attributes, _),) = render("""{% live_panel channel="a/b/c" type="stat" title='5" <i>' %}""")
    assert attributes == {"channel": "a/b/c", "type": "stat", "title": '5" <i>'}


def test_a_value():
    ((name, attributes, text),) = render("{% live_value channel=channel %}", channel=live.Channel("a", "b", "c"))
    assert (name, attributes, text) == ("live-value", {"channel": "a/b/c"}, "–")  # noqa: RUF001
    ((_, attributes, text),) = render('{% live_value "a/b/c" field="x.y" digits=0 unit="°C" default="<none>" %}')
    assert (attributes, text) == ({"channel": "a/b/c", "field": "x.y", "digits": "0", "unit": "°C"}, "<none>")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{% live_panel channel="host" %}', "live_panel: 'host' is no channel: .*namespace and path missing"),
        ('{% live_value channel="a/b c/d" %}', "live_value: 'a/b c/d' is no channel: .*namespace holds ' '"),
        ("{% live_panel channel=missing %}", "live_panel: '' is no channel"),
        ('{% live_panel channel="a/b/c" type="pie" %}', "type is timeseries, stat or raw, not 'pie'"),
        ('{% live_value channel="a/b/c" digits=21 %}', "digits is a number from 0 to 20, not 21"),
        ('{% live_value channel="a/b/c" digits="two" %}', "digits is a number from 0 to 20, not 'two'"),
    ],
)
def test_what_cannot_be_is_explained(text, reason):
    with pytest.raises(TemplateSyntaxError, match=reason):
        render(text)


def test_the_elements_speak_the_texts_that_can_be_translated():
    source = (STATIC / "config.js").read_text()
    english = re.search(r"const ENGLISH = \{\n(.*?)\n\};", source, re.DOTALL)[1]
    assert dict(re.findall(r'^  (\w+): "(.*)",$', english, re.MULTILINE)) == script()[0]["texts"]


def test_the_elements_know_the_attributes_that_the_tags_write():
    source = (STATIC / "elements.js").read_text()
    panel, value = (set(re.findall(r'"(\w+)"', each)) for each in re.findall(r"observedAttributes = \[(.*)\]", source))
    assert panel == {"channel", "fields", "labels", "title", "type", "unit"} | {"paused"}  # which only a script needs
    assert value == {"channel", "digits", "field", "labels", "unit"}


def exported(text):
    names = set(re.findall(r"^export (?:async )?(?:function|class|const) (\w+)", text, re.MULTILINE))
    for group in re.findall(r"^export \{(.*?)\}", text, re.MULTILINE):
        names |= {name.strip() for name in group.split(",")}
    return names


@pytest.mark.parametrize("name", ["live", "frames", "dashboards", "elements"])
def test_the_declarations_name_what_the_scripts_export(name):
    assert exported((STATIC / f"{name}.d.ts").read_text()) == exported((STATIC / f"{name}.js").read_text())


def test_every_block_of_the_page_is_of_a_kind_that_is_checked_here():
    kinds = [language for language, _ in BLOCKS]
    assert sorted(kinds) == ["css", "html", "html", "html", "html", "html", "json", "python", "text", "ts"]


def test_the_templates_of_the_page_are_templates():
    rendered = [
        {name for name, _, _ in Elements(Template(text).render(Context())).found}
        for language, text in BLOCKS
        if language == "html"
    ]
    first, sentence, plain, held, own = rendered
    assert {"live-panel", "live-value", "script"} <= first
    assert {"live-value", "script"} <= sentence
    assert {"live-panel", "live-value", "script"} <= plain
    assert {"live-panel", "button", "script"} <= held
    assert "script" in own


def test_the_scripts_of_the_page_use_what_there_is():
    scripts = [text for language, text in BLOCKS if language in ("html", "ts")]
    imported = {
        name.strip().removeprefix("type ")
        for text in scripts
        for names in re.findall(r"import \{(.*?)\}", text)
        for name in names.split(",")
    }
    types_of_live = set(re.findall(r"^export interface (\w+)", (STATIC / "live.d.ts").read_text(), re.MULTILINE))
    functions = exported((STATIC / "live.js").read_text())
    assert imported <= functions | types_of_live
    assert functions == set(
        re.findall(r"^\| `(\w+)[^|]*` \|", PAGE[PAGE.index("## Your own JavaScript") :], re.MULTILINE)
    )


def test_the_page_names_every_custom_property():
    used = set(re.findall(r"var\((--live-[\w-]+)", (STATIC / "style.js").read_text()))
    named = set(re.findall(r"`(--live-[\w-]+)`", PAGE))
    assert {name for name in used if not name.startswith("--live-series-")} | {
        "--live-series-1",
        "--live-series-8",
    } == named


def test_the_python_of_the_page_publishes(monkeypatch):
    published = []
    monkeypatch.setitem(vars(live), "publish", lambda channel, data: published.append((channel, data)))
    (text,) = (text for language, text in BLOCKS if language == "python")
    exec(compile(text, "docs/embedding.md", "exec"), {})
    assert published == [("grafana/broadcast/shop", {"orders": {"open": 7}})]
    assert "grafana/broadcast/shop" in PAGE
    assert sys.modules["live"] is live


def test_the_json_of_the_page_is_json():
    (text,) = (text for language, text in BLOCKS if language == "json")
    assert json.loads(text)["compilerOptions"]["strict"] is True


class HashedModules(ManifestStaticFilesStorage):
    """Hashes in the addresses of what modules import too, as `support_js_module_import_aggregation` has it."""

    support_js_module_import_aggregation = True


def test_the_modules_can_have_hashes_in_what_they_import(tmp_path):
    """No module imports itself by a detour, nor over many others: Django would not find their hashes."""
    shutil.copytree(STATIC, tmp_path / "live")
    for app in ("before", "page"):
        (tmp_path / app).mkdir()
        (tmp_path / app / "page.js").write_text('import { frames } from "../live/live.js";\nframes("a/b/c");\n')
    storage = HashedModules(location=tmp_path, base_url="/static/")
    names = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*"))
    for name, _, failure in storage.post_process({name: (storage, name) for name in names}):
        assert not isinstance(failure, Exception), (name, failure)
    for name in names:
        if name.endswith(".js") and "/vendor/" not in name:
            written = (tmp_path / storage.hashed_files[name]).read_text()
            for imported in re.findall(r'^(?:import|export) .*?from "(\..*?)";', written, re.MULTILINE):
                assert re.search(r"\.[0-9a-f]{12}\.js$", imported), (name, imported)
