"""Handlers: the objects that answer for a scope or a namespace."""

from live.handlers.base import Admission, ChannelHandler
from live.handlers.registry import find_handler, register
from live.users import User

__all__ = ["Admission", "ChannelHandler", "User", "find_handler", "register"]
