"""One process: a hub of clients, joined to the other nodes by the channel layer, and a store."""

from live.node.hub import Hub, Subscription
from live.node.node import Node
from live.node.outbox import Encoded, Outbox
from live.node.relay import Relay
from live.node.runtime import current_node, run, serve

__all__ = ["Encoded", "Hub", "Node", "Outbox", "Relay", "Subscription", "current_node", "run", "serve"]
