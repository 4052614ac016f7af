import { expect, test } from "vitest";
import {
  answer,
  answered,
  asked,
  browser,
  only,
  opened,
  rested,
  service,
  texts,
} from "../../test/fixtures";
import { Browser, MemoryStorage, until } from "../../test/tab";

test("after session-expiry, and without auto-restore, a page begins with none", async () => {
  await answered();
  const off = await opened({ autoRestore: false });
  expect(off.state.messages).toEqual([]);
  const saved = JSON.parse(browser.local.getItem("baton:https://svc.test:session")!);
  browser.local.setItem(
    "baton:https://svc.test:session",
    JSON.stringify({ ...saved, seen: Date.now() - 2000 }),
  );
  const late = await opened({ sessionExpiry: 1 });
  expect(late.state.messages).toEqual([]);
  const early = await opened({ sessionExpiry: 60 });
  expect(texts(early.state)).toEqual(["Hello?", "Good day."]);
});

test("an end shows in the other tab, its history stays, and the next question begins a new chat", async () => {
  const one = await asked();
  answer("Good day.");
  const two = await opened();
  await rested(one);
  await one.conversation.end();
  expect(one.state).toMatchObject({ status: "ended", notice: { key: "ended" } });
  await until(() => two.state.status === "ended", two);
  expect(texts(two.state)).toEqual(["Hello?", "Good day."]);
  await two.conversation.send("Again?");
  await until(() => two.state.answering, two);
  expect(service.sessions.size).toBe(2);
  expect(texts(two.state)).toEqual(["Hello?", "Good day.", "Again?"]);
});

test("when the session is gone, the next question starts a new one by itself", async () => {
  const tab = await answered();
  service.sessions.clear();
  await tab.conversation.send("Still there?");
  await until(() => tab.state.answering, tab);
  expect(texts(tab.state)).toEqual(["Hello?", "Good day.", "Still there?"]);
  expect(tab.state.status).toBe("active");
});

test("an erased conversation is shown in no tab any more", async () => {
  const one = await asked();
  answer("Good day.");
  const two = await opened();
  await rested(one);
  await one.conversation.erase();
  expect(one.state).toMatchObject({ messages: [], status: "none", notice: { key: "erased" } });
  await until(() => two.state.messages.length === 0, two);
  expect(browser.local.values.join()).not.toContain("ses_");
  expect(service.sessions.size).toBe(0);
});

test.each(["erased", "gone"] as const)(
  "a tab that hears by the storage alone says why its conversation went: %s",
  async (why) => {
    browser.mute = true;
    const one = await asked();
    answer("Good day.");
    const two = await opened();
    await rested(one);
    two.conversation.setActive(false);
    if (why === "erased") await one.conversation.erase();
    else {
      service.sessions.clear();
      await one.conversation.link("once").catch(() => null);
    }
    await until(() => two.state.notice?.key === why, two);
    expect(two.state.messages.length).toBe(why === "erased" ? 0 : 2);
    expect(browser.local.values.join()).not.toContain("ses_");
  },
);

test("New chat forgets the conversation in all tabs of the browser", async () => {
  const one = await asked();
  answer("Good day.");
  const two = await opened();
  await rested(one);
  one.conversation.startNew();
  expect(one.state).toMatchObject({ messages: [], status: "none" });
  await until(() => two.state.messages.length === 0, two);
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
  await until(() => page.state.answering?.text === "One ", page);
  service.delta(only(), "two");
  await until(
    () => page.state.answering?.text === "One two" && widget.state.answering?.text === "One two",
    () => [page.state, widget.state],
  );
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
  const page = await opened({}, { own: true, storage: tab.storage, session: "tkt_dead" });
  expect(page.state).toMatchObject({ messages: [], status: "none", notice: { key: "deadLink" } });
  await page.conversation.send("Anew?");
  await until(() => page.state.answering, page);
  expect(texts(page.state)).toEqual(["Anew?"]);
});

test("a shared link says that the conversation was begun elsewhere, also after a reload", async () => {
  const widget = await asked();
  answer("Good day.");
  const ticket = new URL(await widget.conversation.link("share")).searchParams.get("session")!;
  const site = new Browser(service);
  const page = site.tab({}, { own: true, session: ticket });
  await page.ready;
  expect(page.state.openedBySharedLink).toBe(true);
  const again = site.tab({}, { own: true, storage: page.storage });
  await again.ready;
  expect(again.state.openedBySharedLink).toBe(true);
  site.close();
});

test("a full page keeps its own conversation through a reload when another tab carries another", async () => {
  const widget = await asked();
  answer("First.");
  const ticket = new URL(await widget.conversation.link("once")).searchParams.get("session")!;
  const page = await opened({}, { own: true, session: ticket });
  widget.conversation.startNew();
  await asked("Second?", widget);
  answer("Second.");
  await rested(widget);
  const again = await opened({}, { own: true, storage: page.storage });
  expect(texts(again.state)).toEqual(["Hello?", "First."]);
});

test("chat-url goes before the service's own page, with the ticket added", async () => {
  const tab = browser.tab({ chatUrl: "https://site.test/chatbot?x=1#top" });
  await asked("Hello?", tab);
  expect(await tab.conversation.link("once")).toMatch(
    /^https:\/\/site\.test\/chatbot\?x=1&session=tkt_\d+#top$/,
  );
});

test("in tab scope each tab has its own conversation, a duplicated tab too", async () => {
  const one = browser.tab({ sessionScope: "tab" });
  await asked("From one", one);
  answer("Yes.");
  await rested(one);
  const copy = await opened({ sessionScope: "tab" }, { storage: new MemoryStorage(one.storage) });
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
  const tab = await opened({ sessionKey: session.id });
  expect(texts(tab.state)).toEqual(["Begun by the site"]);
  await asked("Hello?", tab);
  expect(service.sessions.size).toBe(1);
  expect([...browser.local.values, ...tab.storage.values].join()).not.toContain("ses_");
});
