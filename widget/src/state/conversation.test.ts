import { expect, test } from "vitest";
import {
  answer,
  answered,
  asked,
  browser,
  nineTabs,
  only,
  opened,
  rested,
  service,
  texts,
} from "../../test/fixtures";
import { until } from "../../test/tab";

test("opening the chat asks nothing of the service; the first question makes the session", async () => {
  const tab = await opened();
  expect(service.calls).toEqual([]);
  expect(tab.state.status).toBe("none");
  await asked("Hello?", tab);
  expect(service.count("POST /api/session/create")).toBe(1);
  expect(tab.state.status).toBe("active");
});

test("a question shows at once, and its answer grows word by word and stays once", async () => {
  const tab = await opened();
  const sending = tab.conversation.send("Hello?");
  expect(tab.state.messages[0]).toMatchObject({ content: "Hello?", delivery: "sending" });
  expect(tab.state.waiting).toBe(true);
  await sending;
  await until(() => tab.state.answering?.mine, tab);
  service.delta(only(), "Good ");
  await until(() => tab.state.answering?.text === "Good ", tab);
  service.delta(only(), "day.");
  service.finish(only());
  await rested(tab);
  expect(texts(tab.state)).toEqual(["Hello?", "Good day."]);
  expect(tab.state.messages[0]!.delivery).toBeUndefined();
});

test("no address holds the secret, and no call carries cookies' place for it", async () => {
  await asked();
  for (const call of service.calls) expect(call.url).not.toContain("ses_");
});

test("a reload restores the conversation and says so until the next question", async () => {
  const tab = await answered();
  tab.conversation.dispose();
  const again = await opened({}, { storage: tab.storage });
  expect(texts(again.state)).toEqual(["Hello?", "Good day."]);
  expect(again.state.notice?.key).toBe("restored");
  await again.conversation.send("More?");
  expect(again.state.notice).toBeNull();
});

test("a reload at any word of an answer shows it whole and once", async () => {
  const words = "One two three four five.".split(/(?<= )/);
  for (let cut = 0; cut <= words.length; cut++) {
    const tab = await asked(`Question ${cut}`);
    for (const word of words.slice(0, cut)) service.delta(only(), word);
    tab.conversation.dispose();
    const again = await opened({}, { storage: tab.storage });
    await until(() => again.state.answering?.text === words.slice(0, cut).join(""), again);
    expect(again.state.answering?.mine).toBe(true);
    for (const word of words.slice(cut)) service.delta(only(), word);
    service.finish(only());
    await rested(again);
    expect(texts(again.state).slice(-2)).toEqual([`Question ${cut}`, words.join("")]);
    again.conversation.dispose();
  }
});

test("tabs opened before the first question see it and its answer, over one feed", async () => {
  for (const state of await nineTabs())
    expect(texts(state)).toEqual(["Hello?", "Good day to all of you."]);
  expect(service.feeds).toBe(1);
  expect(service.sessions.size).toBe(1);
});

test("a tab that opens in the middle of an answer gets the words before and after, each once", async () => {
  const first = await asked();
  service.delta(only(), "One ");
  service.delta(only(), "two ");
  await until(() => first.state.answering?.text === "One two ", first);
  const second = await opened();
  await until(() => second.state.answering?.text === "One two ", second);
  expect(second.state.answering?.mine).toBe(false);
  service.delta(only(), "three");
  await until(() => second.state.answering?.text === "One two three", second);
  service.finish(only());
  await rested(second);
  expect(texts(second.state)).toEqual(["Hello?", "One two three"]);
  expect(service.feeds).toBe(1);
});

test("an answer that ends while a second tab still reads the history is there in it too", async () => {
  const first = await asked();
  await until(
    () => service.feeds === 1,
    () => service.feeds,
  );
  service.delta(only(), "One two");
  let deliver = () => {};
  const delivered = new Promise<void>((resolve) => (deliver = resolve));
  const { fetch } = service;
  service.fetch = async (...call) => {
    const response = await fetch(...call);
    if (service.calls.at(-1)?.path.endsWith("/resume")) await delivered;
    return response;
  };
  const second = browser.tab();
  service.fetch = fetch;
  await until(
    () => service.count("POST /api/session/resume") === 1,
    () => service.calls,
  );
  service.finish(only());
  await rested(first);
  deliver();
  await second.ready;
  await until(() => texts(second.state).length === 2, second);
  expect(texts(second.state)).toEqual(["Hello?", "One two"]);
  expect(service.feeds).toBe(1);
});

test("two tabs that ask their first question at the same moment share one session", async () => {
  const [one, two] = [browser.tab(), browser.tab()];
  await Promise.all([one.ready, two.ready]);
  await Promise.all([one.conversation.send("From one"), two.conversation.send("From two")]);
  await until(
    () => only()?.turn,
    () => service.calls,
  );
  answer("Yes.");
  await until(
    () => service.sessions.size === 1 && (one.state.returnedDraft ?? two.state.returnedDraft),
    () => [one.state, two.state],
  );
  expect(service.sessions.size).toBe(1);
});

test("Stop ends the answer with what was said so far", async () => {
  const tab = await asked();
  service.delta(only(), "So far");
  await tab.conversation.stop();
  await rested(tab);
  expect(tab.state.messages.at(-1)).toMatchObject({
    content: "So far",
    metadata: { stopped: true },
  });
  expect(tab.state.canRetry).toBe(false);
});

test("of all tabs one sends the service that somebody is there, and none when nobody looks", async () => {
  const one = await asked("Hello?", browser.tab({ heartbeatInterval: 1 }));
  answer("Good day.");
  const two = await opened({ heartbeatInterval: 1 });
  await until(
    () => service.count("POST /api/session/me/heartbeat") === 2,
    () => service.count("POST /api/session/me/heartbeat"),
    4000,
  );
  expect(service.calls.filter((call) => call.path.endsWith("/heartbeat")).length).toBe(2);
  one.conversation.setActive(false);
  two.conversation.setActive(false);
  await until(
    () => service.feeds === 0,
    () => service.feeds,
  );
});

test("a draft survives a reload", async () => {
  const tab = browser.tab();
  tab.conversation.draft = "half a thought";
  expect(browser.tab({}, { storage: tab.storage }).conversation.draft).toBe("half a thought");
});

test("older messages are read page by page, in order", async () => {
  const session = service.create();
  for (let n = 0; n < 180; n++) service.append(session, { role: "user", content: `m${n}` });
  const tab = await opened({ sessionKey: session.id });
  expect(tab.state.messages).toHaveLength(100);
  expect(tab.state.hasOlder).toBe(true);
  await tab.conversation.loadOlder();
  await tab.conversation.loadOlder();
  expect(texts(tab.state)).toEqual(Array.from({ length: 180 }, (_, n) => `m${n}`));
  expect(tab.state.hasOlder).toBe(false);
});
