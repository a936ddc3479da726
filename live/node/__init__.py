"""One process: a hub of clients, joined to the other nodes by the channel layer, and a store."""

from live.node.clients import Peer
from live.node.control import ControlMessage, NodeReport, Survey
from live.node.hub import Hub
from live.node.node import Node
from live.node.outbox import Encoded, Outbox
from live.node.recovery import Recovery
from live.node.relay import Relay
from live.node.runtime import current_node, run, serve
from live.node.subscription import Subscription

__all__ = [
    "ControlMessage",
    "Encoded",
    "Hub",
    "Node",
    "NodeReport",
    "Outbox",
    "Peer",
    "Recovery",
    "Relay",
    "Subscription",
    "Survey",
    "current_node",
    "run",
    "serve",
]
