"""A consumer in a group, as everybody's first one."""

import json
from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer

GROUP = "bench"


class StockConsumer(AsyncWebsocketConsumer):
    """Sends on whatever the group is sent."""

    async def connect(self) -> None:
        """Joins the group; refuses who is not signed in."""
        if not self.scope["user"].is_authenticated:
            await self.close()
            return
        await self.channel_layer.group_add(GROUP, self.channel_name)
        await self.accept()
        await self.send(text_data='{"ready":true}')

    async def disconnect(self, code: int) -> None:
        """Leaves the group."""
        await self.channel_layer.group_discard(GROUP, self.channel_name)

    async def bench_message(self, event: dict[str, Any]) -> None:
        """One delivery."""
        await self.send(text_data=json.dumps(event["data"]))
