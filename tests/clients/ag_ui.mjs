/** Drives AG-UI's HttpAgent and prints what its subscribers get as JSON. */
import { HttpAgent } from "@ag-ui/client";
import { cutting, run } from "./harness.mjs";

await run(async ({ url, threadId, headers, actions }) => {
  const results = [];
  for (const { ask, runId, cut, goOn } of actions) {
    const position = goOn && results.at(-1).lastEventId;
    const events = [];
    const ids = [];
    const agent = new HttpAgent({
      url: `${url}/api/ag-ui`,
      threadId,
      headers: { ...headers, ...(position ? { "Last-Event-ID": position } : {}) },
      fetch: cutting(cut, ids),
    });
    agent.addMessage({ id: runId, role: "user", content: ask });
    let error = null;
    try {
      await agent.runAgent({ runId }, { onEvent: ({ event }) => void events.push(event) });
    } catch (raised) {
      error = raised.message;
    }
    results.push({
      error,
      events: events.map(({ type, name, value, code, message }) => ({ type, name, value, code, message })),
      messages: agent.messages.map(({ id, role, content }) => ({ id, role, content })),
      text: events.filter(({ type }) => type === "TEXT_MESSAGE_CONTENT").map(({ delta }) => delta).join(""),
      lastEventId: ids.at(-1) ?? null,
    });
  }
  return results;
});
