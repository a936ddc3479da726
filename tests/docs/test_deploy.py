"""docs/deploy.md: the settings that it shows lead to Redis where it says."""

from live.store.redis.topology import Topology
from tests.docs.python import check_settings, running


def test_the_hosts_are_those_of_the_page():
    with running("docs/deploy.md") as page:
        layer = page.CHANNEL_LAYERS["default"]
        (host,) = Topology.from_layer_config(layer["CONFIG"]).hosts
        assert "10.0.0.5:6379" in host.label
        config = {**layer["CONFIG"], **page.part}
        check_settings({"CHANNEL_LAYERS": {"default": {**layer, "CONFIG": config}}})
        topology = Topology.from_layer_config(config)
        assert topology.prefix == "mysite"
        assert topology.hosts[0].label == "primary 'live' of 3 Sentinels"
