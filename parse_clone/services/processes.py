"""What the server processes of one application tell each other, besides object changes: which users, roles,
configurations, schemas and webhooks have changed, so that nobody acts on what he remembers.

Whoever cannot hear the others remembers nothing.
"""

from __future__ import annotations

import orjson

from parse_clone.core.json_types import Json
from parse_clone.ports import PubSub
from parse_clone.services.toolbox import Toolbox
from parse_clone.services.webhooks import reload_webhooks

SENDER = "parse_clone"


async def connect_processes(toolbox: Toolbox, pubsub: PubSub) -> None:
    """Tell the others what changes here, and forget what changes there."""
    app_id = toolbox.settings.app_id
    outdated, clear_cache = f"{app_id}outdated", f"{app_id}clearCache"

    async def tell(message: str) -> None:
        await pubsub.publish(outdated, message)
        subject, _, name = message.partition(" ")
        if subject == "user":  # what parse-server's LiveQuery processes understand
            await pubsub.publish(clear_cache, orjson.dumps({"userId": name, "sender": SENDER}).decode())

    async def tell_schemas() -> None:
        await pubsub.publish(outdated, "schemas")

    async def hear(message: str) -> None:
        match message:
            case "schemas":
                await toolbox.catalog.load()
            case "hooks":
                await reload_webhooks(toolbox)
            case _:
                toolbox.caches.forget(message)

    async def hear_parse_server(message: str) -> None:
        content: Json = orjson.loads(message)
        if not isinstance(content, dict) or content.get("sender") == SENDER:
            return  # ours have said it more exactly
        if isinstance(content.get("userId"), str):
            toolbox.caches.drop_user(str(content["userId"]))
            toolbox.caches.roles.clear()  # parse-server names the writer of a role, not its members

    async def mind_gap(is_away: bool) -> None:
        toolbox.caches.pause(is_away)
        if not is_away:
            await toolbox.catalog.load()
            await reload_webhooks(toolbox)

    pubsub.on_gap(mind_gap)
    toolbox.caches.on_invalidation(tell)
    toolbox.catalog.on_change(tell_schemas)
    await pubsub.subscribe(outdated, hear)
    await pubsub.subscribe(clear_cache, hear_parse_server)
    await mind_gap(False)  # what was read before the first message may be outdated, too
