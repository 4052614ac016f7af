import { afterEach, expect, test, vi } from "vitest";
import {
  answer,
  answered,
  asked,
  browser,
  nineTabs,
  only,
  opened,
  rested,
  sent,
  service,
  texts,
} from "../../test/fixtures";
import type { MemoryStorage } from "../../test/tab";
import { until } from "../../test/tab";

afterEach(() => {
  vi.useRealTimers();
});

/** Past the time after which a question without an answer may be asked again. */
const pastUnanswered = () => vi.advanceTimersByTimeAsync(3_500);

test("when the tab with the feed goes, another goes on with it and no word is lost or doubled", async () => {
  const first = await asked();
  const second = await opened();
  service.delta(only(), "One ");
  await until(() => second.state.answering?.text === "One ", second);
  first.conversation.dispose();
  service.delta(only(), "two ");
  service.delta(only(), "three");
  await until(() => second.state.answering?.text === "One two three", second);
  service.finish(only());
  await rested(second);
  expect(texts(second.state)).toEqual(["Hello?", "One two three"]);
});

test("a lost reply to a question does not ask twice", async () => {
  service.lost.push("POST /api/chat");
  const tab = await asked();
  answer("Once.");
  await rested(tab);
  expect(texts(tab.state)).toEqual(["Hello?", "Once."]);
  expect(only().messages).toHaveLength(2);
});

test("a feed that is cut at every event gives the whole answer once", async () => {
  const tab = await asked();
  const words = Array.from({ length: 12 }, (_, n) => `w${n} `);
  for (const word of words) {
    service.delta(only(), word);
    service.cutFeeds(only());
    await until(() => service.feeds > 0);
  }
  service.finish(only());
  await rested(tab);
  expect(texts(tab.state)).toEqual(["Hello?", words.join("")]);
});

test("the first words need not wait for the feed, and the feed's words do not double them", async () => {
  for (let n = 0; n < 3; n++)
    service.refusals.push({
      call: "GET /api/session/me/events",
      status: 503,
      code: "storage_unavailable",
      retryAfter: 1,
    });
  const tab = await asked();
  expect(service.feeds).toBe(0);
  service.delta(only(), "One ");
  await until(() => tab.state.answering?.text === "One ", tab);
  await until(() => service.feeds === 1, tab);
  service.delta(only(), "two");
  await until(() => tab.state.answering?.text === "One two", tab);
  service.finish(only());
  await rested(tab);
  expect(texts(tab.state)).toEqual(["Hello?", "One two"]);
});

test("a position that is gone is made good from the history, with the running answer whole", async () => {
  const tab = await asked();
  service.delta(only(), "One ");
  await until(() => tab.state.answering?.text === "One ", tab);
  service.forgetPositions = true;
  service.cutFeeds(only());
  service.delta(only(), "two ");
  await until(() => tab.state.answering?.text === "One two ", tab);
  service.delta(only(), "three");
  service.finish(only());
  await rested(tab);
  expect(texts(tab.state)).toEqual(["Hello?", "One two three"]);
});

test("on plain http, where a page has no locks, nine tabs share one feed all the same", async () => {
  browser.plain = true;
  for (const state of await nineTabs())
    expect(texts(state)).toEqual(["Hello?", "Good day to all of you."]);
  expect(service.feeds).toBeLessThanOrEqual(2);
  expect(service.sessions.size).toBe(1);
});

test("a service that goes away is told after a moment, and untold when it is back", async () => {
  const tab = await answered();
  service.down = true;
  service.cutFeeds(only());
  await until(
    () => tab.state.connection === "reconnecting",
    () => tab.state,
    4500,
  );
  expect(tab.state.notice?.key).toBe("reconnecting");
  service.down = false;
  await until(() => tab.state.connection === "online" && !tab.state.notice, tab);
});

test("a proxy that holds the feed back does not hold the answer back for ever", async () => {
  service.mute = true;
  const tab = await sent();
  await until(
    () => only()?.turn,
    () => service.calls,
  );
  answer("By the history.");
  await until(
    () => texts(tab.state).length === 2 && !tab.state.waiting,
    () => tab.state,
    9000,
  );
  expect(texts(tab.state)).toEqual(["Hello?", "By the history."]);
});

test("a 429 keeps the text with Retry and counts the wait down", async () => {
  service.refusals.push({
    call: "POST /api/chat",
    status: 429,
    code: "rate_limited",
    retryAfter: 1,
  });
  const tab = await sent();
  await until(() => tab.state.messages[0]?.delivery === "failed", tab);
  expect(tab.state.wait).toBe(1);
  expect(tab.state.notice).toMatchObject({ key: "wait", params: { seconds: 1 } });
  await until(() => tab.state.wait === 0, tab);
  await tab.conversation.retry(tab.state.messages[0]!.client_id);
  await until(() => tab.state.answering, tab);
  answer("Now.");
  await rested(tab);
  expect(texts(tab.state)).toEqual(["Hello?", "Now."]);
});

test("a question that cannot be sent stays with Retry, and Retry sends it once", async () => {
  const tab = await opened();
  service.down = true;
  await tab.conversation.send("Hello?");
  await until(
    () => tab.state.messages[0]?.delivery === "failed",
    () => tab.state,
    9500,
  );
  expect(tab.state.notice?.key).toBe("notSent");
  service.down = false;
  await tab.conversation.retry(tab.state.messages[0]!.client_id);
  await until(() => tab.state.answering, tab);
  answer("Here.");
  await rested(tab);
  expect(only().messages).toHaveLength(2);
}, 15_000);

test("when another's answer is running, the text goes back to the composer", async () => {
  service.refusals.push({ call: "POST /api/chat", status: 409, code: "turn_in_progress" });
  const tab = await sent();
  await until(() => tab.state.returnedDraft, tab);
  expect(tab.state).toMatchObject({
    returnedDraft: { text: "Hello?", n: 1, next: true },
    messages: [],
    notice: { key: "busy" },
    waiting: true,
  });
  await until(() => !tab.state.waiting, tab);
  expect(service.count("POST /api/chat")).toBe(1);
});

test("a question that met another's answer waits for its end, which the feed tells, and can then be asked", async () => {
  const session = service.create();
  service.begin(session, "q.other");
  const tab = await opened({ sessionKey: session.id }, { active: false });
  await tab.conversation.send("Mine?");
  await until(() => tab.state.returnedDraft?.next, tab);
  service.delta(session, "Theirs.");
  await until(() => tab.state.answering, tab);
  service.finish(session);
  await rested(tab);
  expect(texts(tab.state)).toEqual(["Theirs."]);
  await tab.conversation.send("Mine?");
  await until(() => tab.state.answering?.mine, tab);
  expect(texts(tab.state)).toEqual(["Theirs.", "Mine?"]);
});

test("a broken answer keeps its words, offers Retry, and Retry asks the same question again", async () => {
  const tab = await asked();
  service.delta(only(), "Half ");
  service.fail(only());
  await until(() => tab.state.canRetry, tab);
  expect(texts(tab.state)).toEqual(["Hello?", "Half "]);
  await tab.conversation.retry();
  await until(() => tab.state.answering, tab);
  expect(tab.state.canRetry).toBe(false);
  answer("Whole.");
  await rested(tab);
  expect(texts(tab.state)).toEqual(["Hello?", "Half ", "Whole."]);
  expect(
    new Set(
      service.calls.filter((one) => one.path === "/api/chat").map((one) => one.body.client_id),
    ).size,
  ).toBe(1);
});

test.each(["before the first word", "in mid-answer", "without a stream"])(
  "an answer that cannot be made again either is told so, and Retry is not offered: %s",
  async (when) => {
    if (when === "without a stream") {
      service.refusals.push({
        call: "POST /api/chat",
        status: 502,
        code: "engine_failed",
        retryable: false,
      });
      const tab = await sent();
      await until(() => tab.state.notice, tab);
      expect(tab.state).toMatchObject({ canRetry: false, notice: { key: "cannotAnswer" } });
      return expect(texts(tab.state)).toEqual(["Hello?"]);
    }
    vi.useFakeTimers({ shouldAdvanceTime: true });
    const tab = await asked();
    const other = await opened();
    if (when === "in mid-answer") service.delta(only(), "Half ");
    service.fail(only(), "engine_failed", { retryable: false });
    for (const one of [tab, other]) await until(() => !one.state.waiting && one.state.notice, one);
    await pastUnanswered();
    for (const { state } of [tab, other])
      expect(state).toMatchObject({ canRetry: false, notice: { key: "cannotAnswer" } });
    expect(texts(tab.state)[0]).toBe("Hello?");
    await tab.conversation.send("And now?");
    await until(() => tab.state.answering, tab);
    service.fail(only());
    await until(() => tab.state.canRetry, tab);
  },
);

test.each([
  { call: "POST /api/session/create", status: 403, code: "origin_not_allowed", notice: "origin" },
  { call: "POST /api/chat", status: 403, code: "role_forbidden", notice: "notAccepted" },
  { call: "POST /api/chat", status: 500, code: "internal_error", notice: "notAccepted" },
  { call: "POST /api/chat", status: 422, code: "invalid_request", notice: "refused" },
])(
  "a question that is refused for good goes back to the composer, without Retry: $code",
  async ({ notice, ...refusal }) => {
    service.refusals.push({ ...refusal, retryable: false });
    const tab = await sent();
    await until(() => tab.state.returnedDraft, tab);
    expect(tab.state).toMatchObject({
      returnedDraft: { text: "Hello?" },
      messages: [],
      canRetry: false,
      waiting: false,
      notice: { key: notice },
    });
    tab.conversation.dispose();
    const next = await opened({}, { storage: tab.storage });
    expect(next.state.messages).toEqual([]);
  },
);

test("Retry that is refused for good is not offered again", async () => {
  vi.useFakeTimers({ shouldAdvanceTime: true });
  const tab = await asked();
  service.fail(only());
  await until(() => tab.state.canRetry, tab);
  service.refusals.push({
    call: "POST /api/chat",
    status: 403,
    code: "role_forbidden",
    retryable: false,
  });
  await tab.conversation.retry();
  await until(() => tab.state.notice?.key === "notAccepted", tab);
  await pastUnanswered();
  expect(tab.state).toMatchObject({ canRetry: false, returnedDraft: null });
  expect(texts(tab.state)).toEqual(["Hello?"]);
});

test("storage that throws is survived", async () => {
  const broken = {
    getItem() {
      throw new Error("blocked");
    },
    setItem() {
      throw new Error("blocked");
    },
    removeItem() {
      throw new Error("blocked");
    },
  };
  const tab = browser.tab({}, { storage: broken as unknown as MemoryStorage });
  await asked("Hello?", tab);
  tab.conversation.draft = "half a thought";
  expect(tab.conversation.draft).toBe("half a thought");
});

test("a question that was on its way when the page was left is sent once by the next page", async () => {
  const tab = await opened();
  service.down = true;
  await tab.conversation.send("Did it arrive?");
  await until(() => service.calls.length > 0);
  tab.conversation.dispose();
  service.down = false;
  const next = browser.tab({}, { storage: tab.storage });
  await until(() => next.state.answering, next);
  expect(texts(next.state)).toEqual(["Did it arrive?"]);
  expect(only().messages).toHaveLength(1);
});
