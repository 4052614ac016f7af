import { afterEach, expect, test, vi } from "vitest";
import { hash53 } from "../src/client/tab-sync";
import { FakeService } from "./fake-service";
import { answered, browser, only, opened, sent, service } from "./fixtures";
import { Browser, until } from "./tab";

afterEach(() => {
  vi.useRealTimers();
});

const KEY = "baton:https://svc.test:session";
const saved = () => JSON.parse(browser.local.getItem(KEY) ?? "null");

const edge = () =>
  new Response("<html>Application not found</html>", {
    status: 404,
    headers: { "Content-Type": "text/html" },
  });

/** A browser that reaches the service by way of what `cut` puts in between. */
function behindAnEdge(): Browser {
  const router = new FakeService();
  router.fetch = (url, init) => service.fetch(url, init);
  return new Browser(router);
}

/** A load balancer without an instance behind it, for calls that begin so. */
function cut(call = ""): () => void {
  const real = service.fetch;
  service.fetch = async (url, init = {}) => {
    if (!`${init.method ?? "GET"} ${new URL(url).pathname}`.startsWith(call))
      return real(url, init);
    service.calls.push({
      method: init.method ?? "GET",
      path: new URL(url).pathname,
      session: "",
      body: {},
      accept: "",
      url,
    });
    return edge();
  };
  return () => {
    service.fetch = real;
  };
}

test("a proxy's 404 on feed, heartbeat and deeds forgets no conversation, which goes on afterwards", async () => {
  const site = behindAnEdge(),
    tab = await answered(site.tab({ heartbeatInterval: 1 }));
  const { id } = only(),
    before = service.calls.length;
  const mend = cut();
  service.cutFeeds(only());
  await until(
    () =>
      service.calls.slice(before).some((one) => one.path.endsWith("/events")) &&
      service.calls.slice(before).some((one) => one.path.endsWith("/heartbeat")),
    () => service.calls.slice(before),
  );
  await tab.conversation.transcript("md").catch(() => null);
  expect(tab.state.status).toBe("active");
  mend();
  await tab.conversation.send("Still there?");
  await until(() => tab.state.answering, tab);
  expect(service.sessions.size).toBe(1);
  expect(only().id).toBe(id);
  expect(tab.state.messages.map((one) => one.content)).toEqual([
    "Hello?",
    "Good day.",
    "Still there?",
  ]);
  site.close();
});

test("a page loaded while the edge answers 404 keeps its conversation and restores it when the service is back", async () => {
  const site = behindAnEdge(),
    tab = await answered(site.tab());
  tab.conversation.dispose();
  const mend = cut();
  const again = site.tab({}, { storage: tab.storage });
  await until(
    () => service.count("POST /api/session/resume") > 0,
    () => service.calls,
  );
  await until(() => again.state.connection === "reconnecting", again);
  expect(site.local.getItem(KEY)).toContain(only().id);
  mend();
  await again.ready;
  expect(again.state.messages.map((one) => one.content)).toEqual(["Hello?", "Good day."]);
  site.close();
});

test("rating what the service does not know ends no conversation", async () => {
  const tab = await answered();
  await expect(tab.conversation.feedback("msg_unknown", "up")).rejects.toMatchObject({
    code: "not_found",
  });
  expect(tab.state).toMatchObject({ status: "active", notice: null });
  expect(saved().id).toBe(only().id);
});

test("a tab that leads in a frozen tab's place has one feed, also when the frozen tab's role comes to it", async () => {
  const session = service.create();
  let thaw = () => {};
  void browser.locks.request(
    `baton:feed:${hash53(`https://svc.test/${session.id}`)}`,
    () =>
      new Promise<void>((go) => {
        thaw = go;
      }),
  );
  vi.useFakeTimers();
  const tab = await opened({ sessionKey: session.id });
  expect(service.feeds).toBe(0);
  await vi.advanceTimersByTimeAsync(31_000);
  expect(service.feeds).toBe(1);
  thaw();
  await vi.advanceTimersByTimeAsync(100);
  expect(service.feeds).toBe(1);
  service.begin(session, "q.other");
  for (const word of ["One ", "two ", "three"]) service.delta(session, word);
  await vi.advanceTimersByTimeAsync(100);
  expect(tab.state.answering?.text).toBe("One two three");
  vi.useRealTimers();
  tab.conversation.setActive(false);
  service.finish(session);
  await until(
    () => service.feeds === 0,
    () => [service.feeds, tab.state],
  );
});

test("a link for once offers a new chat where this browser does not know the session, also after a reload", async () => {
  const widget = await answered();
  const ticket = async () =>
    new URL(await widget.conversation.link("once")).searchParams.get("session")!;
  const mine = await opened({}, { own: true, session: await ticket() });
  expect(mine.state).toMatchObject({
    openedByOneTimeLink: false,
    openedBySharedLink: false,
    notice: { key: "continued" },
  });
  const other = new Browser(service);
  const page = other.tab({}, { own: true, session: await ticket() });
  await page.ready;
  expect(page.state).toMatchObject({
    openedByOneTimeLink: true,
    openedBySharedLink: false,
    notice: { key: "continued" },
  });
  const again = other.tab({}, { own: true, storage: page.storage });
  await again.ready;
  expect(again.state).toMatchObject({ openedByOneTimeLink: true, notice: { key: "restored" } });
  again.conversation.startNew();
  expect(again.state).toMatchObject({ openedByOneTimeLink: false, messages: [], status: "none" });
  other.close();
});

test("a question asked while the service is away at page load is shown as not sent, and Retry sends it once", async () => {
  const first = await answered();
  first.conversation.dispose();
  service.down = true;
  vi.useFakeTimers();
  const tab = browser.tab({}, { storage: first.storage });
  await tab.conversation.send("Anybody?");
  await vi.advanceTimersByTimeAsync(20_000);
  expect(tab.state.messages.at(-1)).toMatchObject({ content: "Anybody?", delivery: "sending" });
  await vi.advanceTimersByTimeAsync(11_000);
  expect(tab.state.messages.at(-1)).toMatchObject({ content: "Anybody?", delivery: "failed" });
  expect(tab.state).toMatchObject({ waiting: false, notice: { key: "notSent" } });
  service.down = false;
  await tab.conversation.retry(tab.state.messages.at(-1)!.client_id);
  await vi.advanceTimersByTimeAsync(20_000);
  expect(only().messages.map((one) => one.content)).toEqual(["Hello?", "Good day.", "Anybody?"]);
  service.finish(only());
});

test("Stop takes back a question that still waits for the service", async () => {
  const first = await answered();
  first.conversation.dispose();
  service.down = true;
  const tab = browser.tab({}, { storage: first.storage });
  await tab.conversation.send("Anybody?");
  expect(tab.state.waiting).toBe(true);
  await tab.conversation.stop();
  await until(() => !tab.state.waiting, tab);
  expect(tab.state).toMatchObject({ messages: [], returnedDraft: { text: "Anybody?" } });
});

test("when the wait of a 429 is over its line goes, and what is asked next is sent", async () => {
  const tab = await answered();
  service.refusals.push({
    call: "POST /api/chat",
    status: 429,
    code: "rate_limited",
    retryAfter: 2,
  });
  await tab.conversation.send("Too much?");
  await until(() => tab.state.wait === 2, tab);
  await until(() => tab.state.notice?.params?.seconds === 1, tab);
  await until(() => tab.state.wait === 0 && tab.state.notice === null, tab);
  await tab.conversation.send("Now?");
  await until(() => tab.state.answering, tab);
  expect(only().messages.at(-1)!.content).toBe("Now?");
});

test("what is not sent at the first try says so with Retry, which sends at once", async () => {
  const tab = await opened();
  service.down = true;
  await tab.conversation.send("Hello?");
  expect(tab.state.messages[0]?.delivery).toBe("sending");
  await until(
    () => tab.state.messages[0]?.delivery === "queued",
    () => tab.state,
    1000,
  );
  await until(
    () => service.count("POST /api/session/create") >= 3,
    () => service.calls,
  );
  expect(tab.state.messages[0]?.delivery).toBe("queued");
  service.down = false;
  await tab.conversation.retry(tab.state.messages[0]!.client_id);
  await until(
    () => tab.state.answering,
    () => tab.state,
    300,
  );
  expect(service.count("POST /api/chat")).toBe(1);
});

test("a proxy's 400, 403 and 413 are not asked again and again, and the last says what is the matter", async () => {
  const real = service.fetch;
  let status = 400;
  service.fetch = async (url, init = {}) => {
    if (!url.endsWith("/api/chat")) return real(url, init);
    service.calls.push({
      method: "POST",
      path: "/api/chat",
      session: "",
      body: {},
      accept: "",
      url,
    });
    return new Response("<html>No</html>", { status, headers: { "Content-Type": "text/html" } });
  };
  const site = new Browser(service),
    tab = site.tab();
  await tab.ready;
  for (status of [400, 403]) {
    await tab.conversation.send(`Hello ${status}?`);
    await until(
      () => tab.state.messages.at(-1)?.delivery === "failed",
      () => tab.state,
      1000,
    );
  }
  status = 413;
  await tab.conversation.send("So long.");
  await until(
    () => tab.state.returnedDraft,
    () => tab.state,
    1000,
  );
  expect(tab.state).toMatchObject({
    returnedDraft: { text: "So long." },
    notice: { key: "tooLong" },
  });
  expect(service.count("POST /api/chat")).toBe(3);
  site.close();
});

test("a question refused by a 429 is there after a reload, with Retry, and is not sent by itself", async () => {
  service.refusals.push({
    call: "POST /api/chat",
    status: 429,
    code: "rate_limited",
    retryAfter: 1,
  });
  const tab = await sent();
  await until(() => tab.state.messages[0]?.delivery === "failed", tab);
  const { storage } = tab;
  tab.conversation.dispose();
  const again = await opened({}, { storage });
  expect(again.state).toMatchObject({
    messages: [{ content: "Hello?", delivery: "failed" }],
    waiting: false,
  });
  expect(service.count("POST /api/chat")).toBe(1);
  await again.conversation.retry(again.state.messages[0]!.client_id);
  await until(() => again.state.answering, again);
  again.conversation.dispose();
  const third = await opened({}, { storage });
  expect(third.state.messages).toHaveLength(1);
  expect(service.count("POST /api/chat")).toBe(2);
});
