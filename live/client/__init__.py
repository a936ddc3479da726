"""One client's session: commands in, replies out. No WebSocket in it.

`client` is the connection, `subscriptions` what it listens to, `answers` the commands that change nothing.
"""

from live.client.client import Client

__all__ = ["Client"]
