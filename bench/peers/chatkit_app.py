"""A ChatKit server as its documentation has it: FastAPI, one route, a store in memory, an answer that echoes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from chatkit.server import ChatKitServer, StreamingResult
from chatkit.store import NotFoundError, Store
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageItem,
    Page,
    ThreadItem,
    ThreadItemDoneEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    UserMessageItem,
)
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse

NO_ANSWER = "Only keep this."


class MemoryStore(Store[None]):
    """Threads and their items in dictionaries."""

    def __init__(self) -> None:
        self.threads: dict[str, ThreadMetadata] = {}
        self.items: dict[str, dict[str, ThreadItem]] = {}

    async def load_thread(self, thread_id: str, context: None) -> ThreadMetadata:
        if thread_id not in self.threads:
            raise NotFoundError(thread_id)
        return self.threads[thread_id]

    async def save_thread(self, thread: ThreadMetadata, context: None) -> None:
        self.threads[thread.id] = thread

    async def load_thread_items(
        self, thread_id: str, after: str | None, limit: int, order: str, context: None
    ) -> Page[ThreadItem]:
        items = list(self.items.get(thread_id, {}).values())
        return Page(data=items[::-1][:limit] if order == "desc" else items[:limit], has_more=len(items) > limit)

    async def add_thread_item(self, thread_id: str, item: ThreadItem, context: None) -> None:
        self.items.setdefault(thread_id, {})[item.id] = item

    async def save_item(self, thread_id: str, item: ThreadItem, context: None) -> None:
        self.items.setdefault(thread_id, {})[item.id] = item

    async def load_item(self, thread_id: str, item_id: str, context: None) -> ThreadItem:
        return self.items[thread_id][item_id]

    async def load_threads(self, limit: int, after: str | None, order: str, context: None) -> Page[ThreadMetadata]:
        return Page(data=list(self.threads.values())[:limit])

    async def delete_thread(self, thread_id: str, context: None) -> None:
        self.threads.pop(thread_id, None)
        self.items.pop(thread_id, None)

    async def delete_thread_item(self, thread_id: str, item_id: str, context: None) -> None:
        self.items.get(thread_id, {}).pop(item_id, None)

    async def save_attachment(self, attachment: Any, context: None) -> None:
        raise NotImplementedError

    async def load_attachment(self, attachment_id: str, context: None) -> Any:
        raise NotImplementedError

    async def delete_attachment(self, attachment_id: str, context: None) -> None:
        raise NotImplementedError


class EchoServer(ChatKitServer[None]):
    """Answers with the question, or not at all where the text asks for that."""

    async def respond(
        self, thread: ThreadMetadata, input_user_message: UserMessageItem | None, context: None
    ) -> AsyncIterator[ThreadStreamEvent]:
        text = input_user_message.content[0].text if input_user_message else ""
        if text == NO_ANSWER:
            return
        item = AssistantMessageItem(
            id=self.store.generate_item_id("message", thread, context), thread_id=thread.id,
            created_at=datetime.now(UTC), content=[AssistantMessageContent(text=text)],
        )  # fmt: skip
        yield ThreadItemDoneEvent(item=item)


app = FastAPI()
server = EchoServer(MemoryStore())


@app.post("/chatkit")
async def chatkit(request: Request) -> Response:
    """Every operation of the protocol."""
    result = await server.process(await request.body(), None)
    if isinstance(result, StreamingResult):
        return StreamingResponse(result, media_type="text/event-stream")
    return Response(result.json, media_type="application/json")
