"""A Chainlit app that answers with the question, or not at all where the text asks for that."""

from __future__ import annotations

import chainlit as cl

NO_ANSWER = "Only keep this."


@cl.on_message
async def on_message(message: cl.Message) -> None:
    """One message more."""
    if message.content != NO_ANSWER:
        await cl.Message(content=message.content).send()
