"""A graph of one node that answers with the question."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph


def echo(state: MessagesState) -> dict[str, Any]:
    """One message more."""
    return {"messages": [AIMessage(content=state["messages"][-1].content)]}


graph = StateGraph(MessagesState).add_node("echo", echo).add_edge(START, "echo").compile()
