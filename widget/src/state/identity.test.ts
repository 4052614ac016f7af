import { expect, test, vi } from "vitest";
import * as identity from "./identity";
import { registerChunk } from "../client/lazy-chunks";
import type { Options } from "../types";
import { tokenOf } from "../../test/fake-service";
import { answered, browser, only, opened, sent, service, texts } from "../../test/fixtures";
import { MemoryStorage, until } from "../../test/tab";

registerChunk("identity", identity);

const restart = vi.fn();

/** A tab in which somebody is signed in before the chat is opened. */
function signedTab(
  given: string | (() => string | Promise<string>),
  storage = new MemoryStorage(),
  options: Options = {},
) {
  const tab = browser.tab(options, { storage, start: false });
  tab.conversation.identify(given, restart);
  return {
    ...tab,
    ready: tab.conversation.start(),
    get state() {
      return tab.conversation.state;
    },
  };
}

const record = () => JSON.parse(browser.local.getItem("baton:https://svc.test:session") ?? "null");

test("the first question of a signed-in visitor makes a session that is theirs, and no storage holds their token", async () => {
  const storage = new MemoryStorage();
  await answered(signedTab(tokenOf("ada"), storage));
  expect(only().owner).toBe("ada");
  expect(record().user).toBeTruthy();
  expect(JSON.stringify([browser.local.values, storage.values])).not.toContain("e30.");
});

test("signing in during a chat claims it: the same words under a new id, and the next question goes there", async () => {
  const tab = browser.tab();
  await answered(tab);
  const old = record().id;
  tab.conversation.identify(tokenOf("ada"), restart);
  await until(() => record()?.id !== old && !tab.state.loading, tab);
  expect(texts(tab.state)).toEqual(["Hello?", "Good day."]);
  expect(tab.state.notice).toBeNull();
  await answered(tab, "More?");
  expect(texts(tab.state)).toEqual(["Hello?", "Good day.", "More?", "Good day."]);
  expect(service.sessions.has(old)).toBe(false);
});

test("signing in while the chat is being restored claims it when that is done", async () => {
  const first = browser.tab();
  await answered(first);
  const old = record().id;
  first.conversation.dispose();
  const tab = browser.tab({}, { storage: first.storage });
  await until(() => service.count("POST /api/session/resume") === 1);
  tab.conversation.identify(tokenOf("ada"), restart);
  await until(() => record()?.id !== old && !tab.state.loading, tab);
  expect(texts(tab.state)).toEqual(["Hello?", "Good day."]);
});

test("where each page is to have its own conversation, the user's last is not brought in", async () => {
  await answered(signedTab(tokenOf("ada")));
  const other = signedTab(tokenOf("ada"), new MemoryStorage(), { sessionScope: "page" });
  await other.ready;
  expect(texts(other.state)).toEqual([]);
  await answered(other, "Another?");
  expect(only().owner).toBe("ada");
});

test("an answer being made is waited for before the conversation is claimed", async () => {
  const tab = await sent();
  await until(() => tab.state.answering, tab);
  tab.conversation.identify(tokenOf("ada"), restart);
  service.delta(only(), "Good ");
  await until(() => tab.state.answering?.text === "Good ", tab);
  expect(service.count("POST /api/session/me/claim")).toBe(0);
  service.delta(only(), "day.");
  service.finish(only());
  await until(() => only().owner === "ada" && !tab.state.loading, tab);
  expect(texts(tab.state)).toEqual(["Hello?", "Good day."]);
});

test("an answer begun elsewhere puts the claim off, and the chat goes on meanwhile", async () => {
  const tab = browser.tab();
  await answered(tab);
  const old = record().id;
  service.refusals.push({
    call: "POST /api/session/me/claim",
    status: 409,
    code: "turn_in_progress",
    retryAfter: 1,
  });
  tab.conversation.identify(tokenOf("ada"), restart);
  await until(() => record()?.id !== old && !tab.state.loading, tab);
  expect(texts(tab.state)).toEqual(["Hello?", "Good day."]);
});

test("a claim whose reply is lost is made again and finds the same new id", async () => {
  const tab = browser.tab();
  await answered(tab);
  const old = record().id;
  service.lost.push("POST /api/session/me/claim");
  tab.conversation.identify(tokenOf("ada"), restart);
  await until(() => record()?.id !== old && !tab.state.loading, tab);
  expect([...service.sessions.values()].filter((one) => one.owner === "ada")).toHaveLength(1);
});

test("after a reload an anonymous conversation is claimed at the start", async () => {
  const first = browser.tab();
  await answered(first);
  const old = record().id;
  first.conversation.dispose();
  const tab = signedTab(tokenOf("ada"), first.storage);
  await tab.ready;
  expect(texts(tab.state)).toEqual(["Hello?", "Good day."]);
  expect(record().id).not.toBe(old);
});

test("a token that is not taken costs nobody the anonymous conversation", async () => {
  const first = browser.tab();
  await answered(first);
  const old = record().id;
  first.conversation.dispose();
  service.expired.add(tokenOf("ada"));
  const tab = signedTab(tokenOf("ada"), first.storage);
  await tab.ready;
  expect(texts(tab.state)).toEqual(["Hello?", "Good day."]);
  expect(record().id).toBe(old);
});

test("a claim at the start of one tab is followed by another that is open", async () => {
  const one = browser.tab();
  await answered(one);
  const two = signedTab(tokenOf("ada"));
  await two.ready;
  await until(() => only().owner === "ada");
  expect(one.state.notice?.key).not.toBe("erased");
  await until(() => texts(one.state).length === 2 && one.state.status === "active", one);
  await answered(one, "From the first?");
  await until(() => two.state.messages.length === 4, two);
});

test("where a claim fails, the other tabs go on as before", async () => {
  const one = browser.tab(),
    two = browser.tab();
  await answered(one);
  await until(() => two.state.messages.length === 2, two);
  service.expired.add(tokenOf("ada"));
  one.conversation.identify(tokenOf("ada"), restart);
  await until(() => service.count("POST /api/session/me/claim") > 0);
  await answered(one, "More?");
  await until(
    () => two.state.messages.length === 4,
    () => two.state,
    8_000,
  );
});

test("another tab of the browser follows, with the token of the first", async () => {
  const one = browser.tab(),
    two = browser.tab();
  await answered(one);
  await until(() => two.state.messages.length === 2, two);
  one.conversation.identify(tokenOf("ada"), restart);
  await until(() => only().owner === "ada" && !one.state.loading, one);
  await answered(two, "From the second?");
  await until(() => one.state.messages.length === 4, one);
  expect([...service.sessions.values()].filter((session) => session.owner)).toHaveLength(1);
});

test("on another device the token alone finds the conversation", async () => {
  await answered(signedTab(tokenOf("ada")));
  browser.local = new MemoryStorage();
  const other = signedTab(tokenOf("ada"));
  await other.ready;
  expect(texts(other.state)).toEqual(["Hello?", "Good day."]);
  expect(other.state.notice?.key).toBe("restored");
});

test("a remembered conversation of a user is left alone where nobody is signed in, and the next question begins anew", async () => {
  const first = signedTab(tokenOf("ada"));
  await answered(first);
  const { id } = record();
  first.conversation.dispose();
  const calls = service.calls.length;
  const tab = await opened({}, { storage: first.storage });
  expect(service.calls).toHaveLength(calls);
  expect([tab.state.status, tab.state.notice, texts(tab.state)]).toEqual(["none", null, []]);
  await answered(tab, "Who am I?");
  expect(record().id).not.toBe(id);
  expect(texts(tab.state)).toEqual(["Who am I?", "Good day."]);
});

test("another user begins anew", async () => {
  const tab = signedTab(tokenOf("ada"));
  await answered(tab);
  restart.mockClear();
  tab.conversation.identify(tokenOf("eve"), restart);
  await until(() => restart.mock.calls.length === 1);
});

test("an expired token is asked for once again, by all calls together, and nobody notices", async () => {
  let n = 0;
  const tab = signedTab(async () => tokenOf("ada", `t${++n}`));
  await answered(tab);
  service.expired.add(tokenOf("ada", "t1"));
  await answered(tab, "More?");
  expect(n).toBe(2);
  expect(texts(tab.state)).toEqual(["Hello?", "Good day.", "More?", "Good day."]);
});

test("without another token the conversation goes from view, the text stays, and the next question begins anew", async () => {
  const tab = signedTab(tokenOf("ada"));
  await answered(tab);
  service.expired.add(tokenOf("ada"));
  await tab.conversation.send("More?");
  await until(() => tab.state.notice?.key === "signIn", tab);
  expect(texts(tab.state)).toEqual([]);
  expect(tab.state.returnedDraft?.text).toBe("More?");
  await answered(tab, "More?");
  expect(only().owner).toBeUndefined();
});

test("a link opens a user's conversation on the full page, a reload too; another question after it is nobody's", async () => {
  await answered(signedTab(tokenOf("ada")));
  const { ticket } = await service.handoff(only(), "once").json();
  browser.local = new MemoryStorage();
  const page = await opened({}, { own: true, session: ticket });
  await answered(page, "On the page?");
  expect(browser.local.values.join()).not.toContain("e30.");
  page.conversation.dispose();
  const again = await opened({}, { own: true, storage: page.storage });
  expect(texts(again.state)).toHaveLength(4);
  again.conversation.startNew();
  await answered(again, "A new one?");
  expect(only().owner).toBeUndefined();
});

test("the full page says what to do when its token has expired, and shows nothing", async () => {
  await answered(signedTab(tokenOf("ada")));
  const { ticket } = await service.handoff(only(), "once").json();
  const page = await opened({}, { own: true, session: ticket });
  service.expired.add(tokenOf("ada"));
  await page.conversation.send("More?");
  await until(() => page.state.notice?.key === "signIn", page);
  expect(texts(page.state)).toEqual([]);
});

test("after a sign-out in any tab nothing of the draft, the questions or the tab's conversation is found here", async () => {
  const tab = browser.tab({ sessionScope: "tab" });
  await answered(tab);
  tab.conversation.draft = "half a thought";
  tab.conversation.dispose();
  browser.local.setItem("baton:https://svc.test:reset", "0.5");
  const later = await opened({ sessionScope: "tab" }, { storage: tab.storage });
  expect([later.conversation.draft, texts(later.state)]).toEqual(["", []]);
});
