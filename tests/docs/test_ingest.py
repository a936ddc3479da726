"""docs/ingest.md: the handler that it shows decides who may push, and the official client of InfluxDB can."""

import json

import pytest
from django.contrib.auth.models import Group, User

import live
from live.handlers.registry import find_handler
from tests.docs.python import running


def last_of_the_weather(site):
    """When it was published last, as a text; "" for never."""
    status, answer = site.request("GET", "/api/live/info/stream/home/weather")
    assert status == 200
    return json.loads(answer)["last_publication"] or ""


@pytest.mark.django_db(transaction=True)
async def test_the_gardeners_may_push(site):
    before = last_of_the_weather(site)
    ann = await User.objects.acreate(username="ann-of-the-greenhouse")
    with running("docs/ingest.md", {"https://example.com": site.url}, token=site.token) as page:
        handler = find_handler(live.Channel.parse("stream/greenhouse/weather"))
        assert isinstance(handler, page.Greenhouse)
        assert not await handler.can_push(ann, "greenhouse")
        await ann.groups.aadd(await Group.objects.acreate(name="gardeners"))
        assert await handler.can_push(ann, "greenhouse")
    # Which the client of InfluxDB has written.
    assert last_of_the_weather(site) > before
