import { expect, test, vi } from "vitest";
import { decodeMessage, type ChatEvent } from "../client/decode";
import { createAnswerWatchdog } from "./answer-watchdog";
import { createStore } from "./store";
import {
  answered,
  asked,
  browser,
  only,
  opened,
  rested,
  service,
  texts,
} from "../../test/fixtures";
import { until } from "../../test/tab";

const handler = (tab: { state: { handler?: unknown } }) => tab.state.handler;
const seen = async (tab: Awaited<ReturnType<typeof asked>>, wanted: object) => {
  await until(() => {
    try {
      expect(handler(tab)).toMatchObject(wanted);
      return true;
    } catch {
      return false;
    }
  }, tab);
};

test("a person can be asked for, and the place in the queue, the person and the way back are shown", async () => {
  service.people = "online";
  const tab = await opened();
  expect(await tab.conversation.people!.request()).toBe("queue");
  await seen(tab, { kind: "queue", position: 2, reason: "requested" });
  service.setHandler(only(), { handler: "queue", queue_position: 1 });
  await seen(tab, { kind: "queue", position: 1, reason: "requested" });
  service.take(only(), "Anna");
  await seen(tab, { kind: "human", name: "Anna" });
  service.say(only(), "Anna", "Good day.");
  await until(() => texts(tab.state).includes("Good day."));
  expect(tab.state.messages.at(-1)).toMatchObject({ role: "assistant", author: "Anna" });
  service.setHandler(only(), { handler: "bot", reason: "released" });
  await seen(tab, { kind: "bot", reason: "released" });
  await tab.conversation.send("And now?");
  await until(() => tab.state.answering);
  expect(handler(tab)).toMatchObject({ kind: "bot", reason: "" });
});

test("what is said to a person waits for nothing: no answer is due, the next line goes at once, nothing offers Retry", async () => {
  service.people = "online";
  const tab = await answered();
  await tab.conversation.people!.request();
  const waited: boolean[] = [];
  tab.conversation.subscribe(() => waited.push(tab.state.waiting));
  await tab.conversation.send("Hello?");
  await tab.conversation.send("Anybody?");
  await until(() => only().messages.length === 4);
  await until(() => tab.state.messages.every((one) => !one.delivery));
  expect(waited).not.toContain(true);
  expect(tab.state.answering).toBe(null);
});

test("what was said to people, who left it at that, is no question without an answer", () => {
  vi.useFakeTimers();
  try {
    const store = createStore(null);
    const unanswered = () => {
      vi.advanceTimersByTime(10_000);
      return store.state.unanswered;
    };
    const message = (id: string) => ({
      event: "message" as const,
      message: decodeMessage({ id, role: "user", content: id, client_id: `q.${"a".repeat(20)}` })!,
    });
    const handlerEvent = (kind: "bot" | "human") => ({
      event: "handler" as const,
      handler: { kind, name: "", position: 0, reason: "" },
    });
    const stop = createAnswerWatchdog(store, async () => {});
    const receive = (event: ChatEvent) => store.dispatch({ type: "event", event });
    receive(handlerEvent("human"));
    receive(message("Thank you!"));
    expect(unanswered()).toBe("");
    receive(handlerEvent("bot"));
    expect(unanswered()).toBe("");
    receive(message("Is the assistant there?"));
    expect(unanswered()).toBe("Is the assistant there?");
    stop();
  } finally {
    vi.useRealTimers();
  }
});

test("a question that meets a person who has just come waits for no answer either", async () => {
  service.people = "online";
  const tab = await answered();
  const session = only();
  service.cutFeeds(session);
  service.take(session, "Anna");
  await tab.conversation.send("Still there?");
  await seen(tab, { kind: "human", name: "Anna" });
  await rested(tab);
  expect(texts(tab.state)).toEqual(["Hello?", "Good day.", "Still there?"]);
});

test("a take ends the running answer: its words stay, and before the first word nothing does", async () => {
  service.people = "online";
  const tab = await asked();
  service.delta(only(), "Half of ");
  await until(() => tab.state.answering?.text);
  service.take(only(), "Anna");
  await seen(tab, { kind: "human" });
  expect(tab.state).toMatchObject({ answering: null, waiting: false, canRetry: false });
  expect(texts(tab.state)).toEqual(["Hello?", "Half of "]);
  const other = await asked("Early?", browser.tab({ sessionScope: "page" }));
  service.take(only(), "Ben");
  await seen(other, { kind: "human", name: "Ben" });
  expect(other.state).toMatchObject({ answering: null, waiting: false });
  expect(texts(other.state)).toEqual(["Early?"]);
});

test("a second tab, a reload and a claimed or moved conversation know who answers", async () => {
  service.people = "online";
  const tab = await answered();
  await tab.conversation.people!.request();
  const two = await opened();
  await seen(two, { kind: "queue", position: 2 });
  service.take(only(), "Anna");
  await seen(two, { kind: "human", name: "Anna" });
  const { url } = await tab.conversation.handoff("once");
  const phone = await opened({}, { own: true, session: new URL(url).searchParams.get("session")! });
  await seen(phone, { kind: "human", name: "Anna" });
  service.setHandler(only(), { handler: "bot", reason: "left" });
  for (const one of [tab, two, phone]) await seen(one, { kind: "bot", reason: "left" });
});

test("a history that arrives late does not undo what the feed brought since", async () => {
  service.people = "online";
  const plain = service.fetch;
  let arrived = false;
  service.fetch = async (url, init) => {
    const response = await plain(url, init);
    if (url.includes("/messages?") && !arrived) {
      await until(() => tab.state.handler?.kind === "queue");
      arrived = true;
    }
    return response;
  };
  const tab = await opened();
  await tab.conversation.people!.request();
  const kinds: (string | undefined)[] = [];
  tab.conversation.subscribe(() => kinds.push(tab.state.handler?.kind));
  await until(() => arrived && service.feeds);
  service.take(only(), "Anna");
  await seen(tab, { kind: "human", name: "Anna" });
  expect(kinds).not.toContain("bot");
});

test("a history that arrives before the reply to a request does not hide it", async () => {
  service.people = "online";
  const plain = service.fetch;
  service.fetch = async (url, init) => {
    const early = url.endsWith("/human");
    const response = await plain(url, init);
    // The reply arrives when the history from before has been read; the feed is still silent.
    if (early) await until(() => tab.state.handler?.kind === "bot");
    if (!url.includes("/messages?")) return response;
    return new Response(JSON.stringify({ ...(await response.json()), handler: "bot" }));
  };
  service.mute = true;
  const tab = await opened();
  expect(await tab.conversation.people!.request()).toBe("queue");
  expect(handler(tab)).toMatchObject({ kind: "queue", position: 2 });
});

test("typing is sent at most once in three seconds, and only where a person may see it", async () => {
  service.people = "online";
  const tab = await answered();
  const sent = () => service.count("POST /api/session/me/typing");
  const { people } = tab.conversation;
  people!.typing();
  expect(sent()).toBe(0);
  await people!.request();
  for (let n = 0; n < 5; n++) people!.typing();
  await until(() => sent() === 1);
  service.tellTyping(only(), "Anna");
  await until(() => tab.state.typing === "Anna");
  service.say(only(), "Anna", "Here I am.");
  await until(() => tab.state.typing === "");
  expect(sent()).toBe(1);
});

test("with nobody there a message is left once, with the address, and nothing waits for an answer", async () => {
  service.people = "away";
  const tab = await opened();
  expect(await tab.conversation.people!.request()).toBe("bot");
  service.refusals.push({
    call: "POST /api/session/me/human",
    status: 503,
    code: "storage_unavailable",
  });
  const leave = () => tab.conversation.people!.leave("Call me.", { email: "a@example.test" });
  await expect(leave()).rejects.toThrow();
  await leave();
  await seen(tab, { kind: "bot", reason: "kept.mail" });
  expect(only().messages.map((one) => one.content)).toEqual(["Call me."]);
  expect(service.calls.at(-1)!.body).toEqual({
    reason: "Call me.",
    contact: { email: "a@example.test" },
  });
  await until(() => texts(tab.state).length === 1);
  expect(tab.state.waiting).toBe(false);
});

test("an ended conversation is nobody's, and the next question begins one with the assistant", async () => {
  service.people = "online";
  const tab = await answered();
  await tab.conversation.people!.request();
  await tab.conversation.end();
  await tab.conversation.send("A new one?");
  await until(() => tab.state.answering);
  expect(service.sessions.size).toBe(2);
  await seen(tab, { kind: "bot" });
});

test("where the desk is off nothing is shown of people", async () => {
  const tab = await answered();
  expect(handler(tab)).toBe(null);
  await expect(tab.conversation.people!.request()).rejects.toMatchObject({ code: "not_found" });
  expect(handler(tab)).toBe(null);
});

test("what nobody answered in the queue is asked anew by Retry, for the service keeps it for people", async () => {
  service.people = "online";
  const tab = await answered();
  service.setHandler(only(), { handler: "queue", queue_position: 1 });
  await seen(tab, { kind: "queue" });
  await tab.conversation.send("Anybody?");
  await until(() => only().messages.length === 3);
  service.setHandler(only(), { handler: "bot", reason: "timeout" });
  await seen(tab, { kind: "bot" });
  const later = await opened();
  await until(() => later.state.canRetry, later);
  await later.conversation.retry();
  await until(() => later.state.answering);
  expect(only().messages.map((one) => one.content)).toEqual([
    "Hello?",
    "Good day.",
    "Anybody?",
    "Anybody?",
  ]);
});
