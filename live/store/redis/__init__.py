"""The store of a site with several processes, and where it finds its Redis: in the channel layer's configuration."""

from live.store.redis.store import RedisStore
from live.store.redis.topology import Topology

__all__ = ["RedisStore", "Topology"]
