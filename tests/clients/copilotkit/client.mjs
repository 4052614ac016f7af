/**
 * Drives CopilotKit's own client over its runtime and prints what it holds as JSON. Each action is a page of its own:
 * `cut`: it is closed after so many pieces of text; `connect`: it is opened again and follows the thread.
 */
import { run } from "../harness.mjs";

globalThis.window = globalThis; // without a window it does not look for its runtime
const { CopilotKitCore } = await import("@copilotkit/core");

const until = async (look) => {
  for (let tries = 0; tries < 400; tries++) {
    if (look()) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error("waited ten seconds");
};

await run(async ({ runtimeUrl, headers, threadId, actions }) => {
  const results = [];
  for (const { ask, runId, cut, connect } of actions) {
    const core = new CopilotKitCore({ runtimeUrl, headers, runtimeTransport: "rest" });
    const errors = [];
    core.subscribe({ onError: ({ error }) => void errors.push(error.message) });
    await until(() => core.getAgent("default"));
    const agent = core.getAgent("default");
    agent.threadId = threadId;
    let pieces = 0;
    const closed = new Promise((resolve) => {
      agent.subscribe({ onTextMessageContentEvent: () => void (++pieces === cut && resolve()) });
    });
    if (ask) agent.addMessage({ id: "m1", role: "user", content: ask });
    const start = () => (runId ? agent.runAgent({ runId }) : core.runAgent({ agent }));
    const running = connect ? core.connectAgent({ agent }) : start();
    await Promise.race([running.catch((error) => errors.push(error.message)), ...(cut ? [closed] : [])]);
    const messages = agent.messages.map(({ role, content }) => [role, content]);
    if (cut) await agent.detachActiveRun();
    results.push({ messages, errors });
  }
  return results;
});
