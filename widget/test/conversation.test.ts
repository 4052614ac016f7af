import { afterEach, beforeEach, expect, test } from "vitest";
import type { State } from "../src/types.js";
import { FakeService } from "./fake-service.js";
import { Browser, MemoryStorage, until } from "./tab.js";

let service: FakeService, browser: Browser;
beforeEach(() => { service = new FakeService(); browser = new Browser(service); });
afterEach(() => browser.close());

const only = () => [...service.sessions.values()].at(-1)!;
const texts = (state: State) => state.messages.map((one) => one.content);
const answer = (text: string, session = only()) => { for (const word of text.split(/(?<= )/)) service.delta(session, word); service.finish(session); };
const rested = async (tab: { state: State }) => until(() => !tab.state.waiting && !tab.state.answering, () => tab.state);

async function asked(text = "Hello?", tab = browser.tab()) {
  await tab.ready;
  await tab.conversation.send(text);
  await until(() => tab.state.answering, () => tab.state);
  return tab;
}

test("opening the chat asks nothing of the service; the first question makes the session", async () => {
  const tab = browser.tab();
  await tab.ready;
  expect(service.calls).toEqual([]);
  expect(tab.state.status).toBe("none");
  await asked("Hello?", tab);
  expect(service.count("POST /api/session/create")).toBe(1);
  expect(tab.state.status).toBe("active");
});

test("a question shows at once, and its answer grows word by word and stays once", async () => {
  const tab = browser.tab();
  await tab.ready;
  const sending = tab.conversation.send("Hello?");
  expect(tab.state.messages[0]).toMatchObject({ content: "Hello?", delivery: "sending" });
  expect(tab.state.waiting).toBe(true);
  await sending;
  await until(() => tab.state.answering?.mine, () => tab.state);
  service.delta(only(), "Good ");
  await until(() => tab.state.answering?.text === "Good ", () => tab.state);
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
  const tab = await asked();
  answer("Good day.");
  await rested(tab);
  tab.conversation.dispose();
  const again = browser.tab({}, { storage: tab.storage });
  await again.ready;
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
    const again = browser.tab({}, { storage: tab.storage });
    await again.ready;
    await until(() => again.state.answering?.text === words.slice(0, cut).join(""), () => again.state);
    expect(again.state.answering?.mine).toBe(true);
    for (const word of words.slice(cut)) service.delta(only(), word);
    service.finish(only());
    await rested(again);
    expect(texts(again.state).slice(-2)).toEqual([`Question ${cut}`, words.join("")]);
    again.conversation.dispose();
  }
});

test("after session-expiry, and without auto-restore, a page begins with none", async () => {
  const tab = await asked();
  answer("Good day.");
  await rested(tab);
  const off = browser.tab({ autoRestore: false });
  await off.ready;
  expect(off.state.messages).toEqual([]);
  const saved = JSON.parse(browser.local.getItem("baton:https://svc.test:session")!);
  browser.local.setItem("baton:https://svc.test:session", JSON.stringify({ ...saved, seen: Date.now() - 2000 }));
  const late = browser.tab({ sessionExpiry: 1 });
  await late.ready;
  expect(late.state.messages).toEqual([]);
  const early = browser.tab({ sessionExpiry: 60 });
  await early.ready;
  expect(texts(early.state)).toEqual(["Hello?", "Good day."]);
});

test("tabs opened before the first question see it and its answer, over one feed", async () => {
  const tabs = Array.from({ length: 9 }, () => browser.tab());
  await Promise.all(tabs.map((tab) => tab.ready));
  await asked("Hello?", tabs[0]);
  await until(() => tabs.every((tab) => texts(tab.state).includes("Hello?")), () => tabs.map((tab) => tab.state));
  answer("Good day to all of you.");
  for (const tab of tabs) await until(() => texts(tab.state).length === 2 && !tab.state.answering, () => tab.state);
  for (const tab of tabs) expect(texts(tab.state)).toEqual(["Hello?", "Good day to all of you."]);
  expect(service.feeds).toBe(1);
  expect(service.sessions.size).toBe(1);
});

test("a tab that opens in the middle of an answer gets the words before and after, each once", async () => {
  const first = await asked();
  service.delta(only(), "One ");
  service.delta(only(), "two ");
  await until(() => first.state.answering?.text === "One two ", () => first.state);
  const second = browser.tab();
  await second.ready;
  await until(() => second.state.answering?.text === "One two ", () => second.state);
  expect(second.state.answering?.mine).toBe(false);
  service.delta(only(), "three");
  await until(() => second.state.answering?.text === "One two three", () => second.state);
  service.finish(only());
  await rested(second);
  expect(texts(second.state)).toEqual(["Hello?", "One two three"]);
  expect(service.feeds).toBe(1);
});

test("when the tab with the feed goes, another goes on with it and no word is lost or doubled", async () => {
  const first = await asked();
  const second = browser.tab();
  await second.ready;
  service.delta(only(), "One ");
  await until(() => second.state.answering?.text === "One ", () => second.state);
  first.conversation.dispose();
  service.delta(only(), "two ");
  service.delta(only(), "three");
  await until(() => second.state.answering?.text === "One two three", () => second.state);
  service.finish(only());
  await rested(second);
  expect(texts(second.state)).toEqual(["Hello?", "One two three"]);
});

test("two tabs that ask their first question at the same moment share one session", async () => {
  const [one, two] = [browser.tab(), browser.tab()];
  await Promise.all([one.ready, two.ready]);
  await Promise.all([one.conversation.send("From one"), two.conversation.send("From two")]);
  await until(() => only()?.turn, () => service.calls);
  answer("Yes.");
  await until(() => service.sessions.size === 1 && (one.state.putBack ?? two.state.putBack), () => [one.state, two.state]);
  expect(service.sessions.size).toBe(1);
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
  for (const word of words) { service.delta(only(), word); service.cutFeeds(only()); await until(() => service.feeds > 0); }
  service.finish(only());
  await rested(tab);
  expect(texts(tab.state)).toEqual(["Hello?", words.join("")]);
});

test("the first words need not wait for the feed, and the feed's words do not double them", async () => {
  for (let n = 0; n < 3; n++) service.refusals.push({ call: "GET /api/session/me/events", status: 503, code: "storage_unavailable", retryAfter: 1 });
  const tab = await asked();
  expect(service.feeds).toBe(0);
  service.delta(only(), "One ");
  await until(() => tab.state.answering?.text === "One ", () => tab.state);
  await until(() => service.feeds === 1, () => tab.state);
  service.delta(only(), "two");
  await until(() => tab.state.answering?.text === "One two", () => tab.state);
  service.finish(only());
  await rested(tab);
  expect(texts(tab.state)).toEqual(["Hello?", "One two"]);
});

test("a position that is gone is made good from the history, with the running answer whole", async () => {
  const tab = await asked();
  service.delta(only(), "One ");
  await until(() => tab.state.answering?.text === "One ", () => tab.state);
  service.forgetPositions = true;
  service.cutFeeds(only());
  service.delta(only(), "two ");
  await until(() => tab.state.answering?.text === "One two ", () => tab.state);
  service.delta(only(), "three");
  service.finish(only());
  await rested(tab);
  expect(texts(tab.state)).toEqual(["Hello?", "One two three"]);
});

test("on plain http, where a page has no locks, nine tabs share one feed all the same", async () => {
  browser.plain = true;
  const tabs = Array.from({ length: 9 }, () => browser.tab());
  await Promise.all(tabs.map((tab) => tab.ready));
  await asked("Hello?", tabs[0]);
  await until(() => tabs.every((tab) => texts(tab.state).includes("Hello?")), () => tabs.map((tab) => tab.state));
  answer("Good day to all of you.");
  for (const tab of tabs) await until(() => texts(tab.state).length === 2 && !tab.state.answering, () => tab.state);
  for (const tab of tabs) expect(texts(tab.state)).toEqual(["Hello?", "Good day to all of you."]);
  expect(service.feeds).toBeLessThanOrEqual(2);
  expect(service.sessions.size).toBe(1);
});

test("a service that goes away is told after a moment, and untold when it is back", async () => {
  const tab = await asked();
  answer("Good day.");
  await rested(tab);
  service.down = true;
  service.cutFeeds(only());
  await until(() => tab.state.connection === "reconnecting", () => tab.state, 4500);
  expect(tab.state.notice?.key).toBe("reconnecting");
  service.down = false;
  await until(() => tab.state.connection === "online" && !tab.state.notice, () => tab.state);
});

test("a proxy that holds the feed back does not hold the answer back for ever", async () => {
  service.mute = true;
  const tab = browser.tab();
  await tab.ready;
  await tab.conversation.send("Hello?");
  await until(() => only()?.turn, () => service.calls);
  answer("By the history.");
  await until(() => texts(tab.state).length === 2 && !tab.state.waiting, () => tab.state, 9000);
  expect(texts(tab.state)).toEqual(["Hello?", "By the history."]);
});

test("a 429 keeps the text with Retry and counts the wait down", async () => {
  service.refusals.push({ call: "POST /api/chat", status: 429, code: "rate_limited", retryAfter: 1 });
  const tab = browser.tab();
  await tab.ready;
  await tab.conversation.send("Hello?");
  await until(() => tab.state.messages[0]?.delivery === "failed", () => tab.state);
  expect(tab.state.wait).toBe(1);
  expect(tab.state.notice).toMatchObject({ key: "wait", params: { seconds: 1 } });
  await until(() => tab.state.wait === 0, () => tab.state);
  await tab.conversation.retry(tab.state.messages[0]!.client_id);
  await until(() => tab.state.answering, () => tab.state);
  answer("Now.");
  await rested(tab);
  expect(texts(tab.state)).toEqual(["Hello?", "Now."]);
});

test("a question that cannot be sent stays with Retry, and Retry sends it once", async () => {
  const tab = browser.tab();
  await tab.ready;
  service.down = true;
  await tab.conversation.send("Hello?");
  await until(() => tab.state.messages[0]?.delivery === "failed", () => tab.state, 9500);
  expect(tab.state.notice?.key).toBe("notSent");
  service.down = false;
  await tab.conversation.retry(tab.state.messages[0]!.client_id);
  await until(() => tab.state.answering, () => tab.state);
  answer("Here.");
  await rested(tab);
  expect(only().messages).toHaveLength(2);
}, 15_000);

test("when another's answer is running, the text goes back to the composer", async () => {
  service.refusals.push({ call: "POST /api/chat", status: 409, code: "turn_in_progress" });
  const tab = browser.tab();
  await tab.ready;
  await tab.conversation.send("Hello?");
  await until(() => tab.state.putBack, () => tab.state);
  expect(tab.state).toMatchObject({ putBack: { text: "Hello?", n: 1 }, messages: [], notice: { key: "busy" }, waiting: false });
});

test("a broken answer keeps its words, offers Retry, and Retry asks the same question again", async () => {
  const tab = await asked();
  service.delta(only(), "Half ");
  service.fail(only());
  await until(() => tab.state.canRetry, () => tab.state);
  expect(texts(tab.state)).toEqual(["Hello?", "Half "]);
  await tab.conversation.retry();
  await until(() => tab.state.answering, () => tab.state);
  expect(tab.state.canRetry).toBe(false);
  answer("Whole.");
  await rested(tab);
  expect(texts(tab.state)).toEqual(["Hello?", "Half ", "Whole."]);
  expect(new Set(service.calls.filter((one) => one.path === "/api/chat").map((one) => one.body.client_id)).size).toBe(1);
});

test("Stop ends the answer with what was said so far", async () => {
  const tab = await asked();
  service.delta(only(), "So far");
  await tab.conversation.stop();
  await rested(tab);
  expect(tab.state.messages.at(-1)).toMatchObject({ content: "So far", metadata: { stopped: true } });
  expect(tab.state.canRetry).toBe(false);
});

test("an end shows in the other tab, its history stays, and the next question begins a new chat", async () => {
  const one = await asked();
  answer("Good day.");
  const two = browser.tab();
  await two.ready;
  await rested(one);
  await one.conversation.end();
  expect(one.state).toMatchObject({ status: "ended", notice: { key: "ended" } });
  await until(() => two.state.status === "ended", () => two.state);
  expect(texts(two.state)).toEqual(["Hello?", "Good day."]);
  await two.conversation.send("Again?");
  await until(() => two.state.answering, () => two.state);
  expect(service.sessions.size).toBe(2);
  expect(texts(two.state)).toEqual(["Hello?", "Good day.", "Again?"]);
});

test("when the session is gone, the next question starts a new one by itself", async () => {
  const tab = await asked();
  answer("Good day.");
  await rested(tab);
  service.sessions.clear();
  await tab.conversation.send("Still there?");
  await until(() => tab.state.answering, () => tab.state);
  expect(texts(tab.state)).toEqual(["Hello?", "Good day.", "Still there?"]);
  expect(tab.state.status).toBe("active");
});

test("an erased conversation is shown in no tab any more", async () => {
  const one = await asked();
  answer("Good day.");
  const two = browser.tab();
  await two.ready;
  await rested(one);
  await one.conversation.erase();
  expect(one.state).toMatchObject({ messages: [], status: "none", notice: { key: "erased" } });
  await until(() => two.state.messages.length === 0, () => two.state);
  expect(browser.local.values.join()).not.toContain("ses_");
  expect(service.sessions.size).toBe(0);
});

test("New chat forgets the conversation in all tabs of the browser", async () => {
  const one = await asked();
  answer("Good day.");
  const two = browser.tab();
  await two.ready;
  await rested(one);
  one.conversation.fresh();
  expect(one.state).toMatchObject({ messages: [], status: "none" });
  await until(() => two.state.messages.length === 0, () => two.state);
  expect(service.sessions.size).toBe(1);
});

test("a full page carries on from a ticket, says so, and carries on again after a reload", async () => {
  const widget = await asked();
  service.delta(only(), "One ");
  const url = new URL(await widget.conversation.link("once"));
  const ticket = url.searchParams.get("session")!;
  const site = new Browser(service);
  const page = site.tab({}, { own: true, session: ticket });
  await page.ready;
  expect(page.state.notice?.key).toBe("continued");
  await until(() => page.state.answering?.text === "One ", () => page.state);
  service.delta(only(), "two");
  await until(() => page.state.answering?.text === "One two" && widget.state.answering?.text === "One two", () => [page.state, widget.state]);
  service.finish(only());
  await rested(page);
  page.conversation.dispose();
  const again = site.tab({}, { own: true, storage: page.storage });
  await again.ready;
  expect(texts(again.state)).toEqual(["Hello?", "One two"]);
  site.close();
});

test("a lost reply to the opening of a link does not burn it, not even with a reload in between", async () => {
  const widget = await asked();
  answer("Good day.");
  const ticket = new URL(await widget.conversation.link("once")).searchParams.get("session")!;
  const site = new Browser(service);
  service.lost.push("POST /api/session/resume");
  const page = site.tab({}, { own: true, session: ticket });
  await until(() => service.count("POST /api/session/resume") === 1);
  page.conversation.dispose();
  const again = site.tab({}, { own: true, storage: page.storage });
  await again.ready;
  expect(texts(again.state)).toEqual(["Hello?", "Good day."]);
  site.close();
});

test("a dead link says so, shows nothing of another conversation, and a question can be asked at once", async () => {
  const tab = await asked();
  answer("Secret.");
  await rested(tab);
  const page = browser.tab({}, { own: true, storage: tab.storage, session: "tkt_dead" });
  await page.ready;
  expect(page.state).toMatchObject({ messages: [], status: "none", notice: { key: "deadLink" } });
  await page.conversation.send("Anew?");
  await until(() => page.state.answering, () => page.state);
  expect(texts(page.state)).toEqual(["Anew?"]);
});

test("a shared link says that the conversation was begun elsewhere, also after a reload", async () => {
  const widget = await asked();
  answer("Good day.");
  const ticket = new URL(await widget.conversation.link("share")).searchParams.get("session")!;
  const site = new Browser(service);
  const page = site.tab({}, { own: true, session: ticket });
  await page.ready;
  expect(page.state.fromElsewhere).toBe(true);
  const again = site.tab({}, { own: true, storage: page.storage });
  await again.ready;
  expect(again.state.fromElsewhere).toBe(true);
  site.close();
});

test("a full page keeps its own conversation through a reload when another tab carries another", async () => {
  const widget = await asked();
  answer("First.");
  const ticket = new URL(await widget.conversation.link("once")).searchParams.get("session")!;
  const page = browser.tab({}, { own: true, session: ticket });
  await page.ready;
  widget.conversation.fresh();
  await asked("Second?", widget);
  answer("Second.");
  await rested(widget);
  const again = browser.tab({}, { own: true, storage: page.storage });
  await again.ready;
  expect(texts(again.state)).toEqual(["Hello?", "First."]);
});

test("chat-url goes before the service's own page, with the ticket added", async () => {
  const tab = browser.tab({ chatUrl: "https://site.test/chatbot?x=1#top" });
  await asked("Hello?", tab);
  expect(await tab.conversation.link("once")).toMatch(/^https:\/\/site\.test\/chatbot\?x=1&session=tkt_\d+#top$/);
});

test("in tab scope each tab has its own conversation, a duplicated tab too", async () => {
  const one = browser.tab({ sessionScope: "tab" });
  await asked("From one", one);
  answer("Yes.");
  await rested(one);
  const copy = browser.tab({ sessionScope: "tab" }, { storage: new MemoryStorage(one.storage) });
  await copy.ready;
  expect(copy.state.messages).toEqual([]);
  await asked("From the copy", copy);
  expect(service.sessions.size).toBe(2);
  expect(browser.local.values.join()).not.toContain("ses_");
});

test("in page scope nothing of the conversation is stored", async () => {
  const tab = await asked("Hello?", browser.tab({ sessionScope: "page" }));
  expect([...browser.local.values, ...tab.storage.values].join()).not.toContain("ses_");
});

test("a session-key is used as it is and not stored", async () => {
  const session = service.create();
  service.append(session, { role: "assistant", content: "Begun by the site" });
  const tab = browser.tab({ sessionKey: session.id });
  await tab.ready;
  expect(texts(tab.state)).toEqual(["Begun by the site"]);
  await asked("Hello?", tab);
  expect(service.sessions.size).toBe(1);
  expect([...browser.local.values, ...tab.storage.values].join()).not.toContain("ses_");
});

test("of all tabs one tells the service that somebody is there, and none when nobody looks", async () => {
  const one = await asked("Hello?", browser.tab({ heartbeatInterval: 1 }));
  answer("Good day.");
  const two = browser.tab({ heartbeatInterval: 1 });
  await two.ready;
  await until(() => service.count("POST /api/session/me/heartbeat") === 2, () => service.count("POST /api/session/me/heartbeat"), 4000);
  expect(service.calls.filter((call) => call.path.endsWith("/heartbeat")).length).toBe(2);
  one.conversation.setActive(false);
  two.conversation.setActive(false);
  await until(() => service.feeds === 0, () => service.feeds);
});

test("storage that throws is survived", async () => {
  const broken = { getItem() { throw new Error("blocked"); }, setItem() { throw new Error("blocked"); }, removeItem() { throw new Error("blocked"); } };
  const tab = browser.tab({}, { storage: broken as unknown as MemoryStorage });
  await asked("Hello?", tab);
  tab.conversation.draft = "half a thought";
  expect(tab.conversation.draft).toBe("half a thought");
});

test("a draft survives a reload", async () => {
  const tab = browser.tab();
  tab.conversation.draft = "half a thought";
  expect(browser.tab({}, { storage: tab.storage }).conversation.draft).toBe("half a thought");
});

test("a question that was on its way when the page was left is sent once by the next page", async () => {
  const tab = browser.tab();
  await tab.ready;
  service.down = true;
  await tab.conversation.send("Did it arrive?");
  await until(() => service.calls.length > 0);
  tab.conversation.dispose();
  service.down = false;
  const next = browser.tab({}, { storage: tab.storage });
  await until(() => next.state.answering, () => next.state);
  expect(texts(next.state)).toEqual(["Did it arrive?"]);
  expect(only().messages).toHaveLength(1);
});

test("older messages are read page by page, in order", async () => {
  const session = service.create();
  for (let n = 0; n < 180; n++) service.append(session, { role: "user", content: `m${n}` });
  const tab = browser.tab({ sessionKey: session.id });
  await tab.ready;
  expect(tab.state.messages).toHaveLength(100);
  expect(tab.state.hasOlder).toBe(true);
  await tab.conversation.older();
  await tab.conversation.older();
  expect(texts(tab.state)).toEqual(Array.from({ length: 180 }, (_, n) => `m${n}`));
  expect(tab.state.hasOlder).toBe(false);
});
