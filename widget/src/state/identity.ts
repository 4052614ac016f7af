/** Whose the conversation is: carries the site's token, claims what was begun before signing in, finds it on any device. */
import type { Api, ApiError, Fetch, History, Resumed } from "../client/api";
import type { Desk } from "./store";
import { isOver } from "./store";
import type { Notices } from "./notices";
import type { Settings } from "../options";
import type { Outbox } from "./outbox";
import type { Sessions } from "./session-manager";
import type { StoredSession, BrowserStorage } from "../client/browser-storage";
import { openChannel, randomId, hash53, type Platform } from "../client/tab-sync";
import { EMPTY, isLocal } from "./reducer";
import type { Page } from "../client/page-lifecycle";

/** The token, or what gives one: asked again when the service does not take the last one any more. */
export type Given = string | (() => string | Promise<string>);

export interface IdentityParts {
  api: Api;
  desk: Desk;
  sessions: Sessions;
  store: BrowserStorage;
  notices: Notices;
  page: Page;
  options: Settings;
  outbox: Outbox;
  machine: Platform;
  accept(found: History, known: ReadonlySet<string> | null): void;
  changed(): void;
  subscribe(listener: () => void): () => void;
}

export interface Keeper {
  /** The page says who is signed in. `restart` begins anew where somebody else was in this tab before. */
  take(given: Given, restart: () => void): Promise<void>;
  /** The token for one conversation, from the tab that claimed it out of the one in view here; whether it came. */
  borrow(claimed: StoredSession): Promise<boolean>;
}

const PATIENCE = 15_000;
/** How long another tab may take to answer, in ms. */
const NEIGHBOUR = 1_000;

const keepers = new WeakMap<Desk, Keeper>();

/** The one keeper of a conversation. */
export function keeperOf(parts: IdentityParts): Keeper {
  const known = keepers.get(parts.desk) ?? createKeeper(parts);
  keepers.set(parts.desk, known);
  return known;
}

function createKeeper(parts: IdentityParts): Keeper {
  const { api, desk, store } = parts;
  const moves = createMoves(parts);
  // `user`: whose the token is. `lent`: the conversation that another tab lent it for; it goes with no other call.
  let given: Given = "", token = "", user = "", lent = "", asking: Promise<string> | null = null;
  const answers = new Set<(of: unknown, token: string) => void>();

  // A token is lent for the conversation that both tabs carry, and for that one alone; it is written nowhere.
  const others = openChannel(parts.machine, `baton:user:${api.base}`, ({ kind, of, token: offered }) => {
    if (desk.disposed) return others.close();
    if (kind === "want" && token && desk.session && of === hash53(api.base + desk.session)) others.post({ kind: "have", of, token });
    if (kind === "have" && typeof offered === "string") for (const answer of answers) answer(of, offered);
  });

  api.intercept((way) => through(way, (session) => (!lent || session === `Bearer ${lent}` ? token : ""), renew));

  async function ask(): Promise<string> {
    let late: ReturnType<typeof setTimeout> | undefined;
    try {
      const found: unknown = await Promise.race([
        typeof given === "function" ? given() : given,
        new Promise<string>((go) => { late = setTimeout(go, PATIENCE, ""); }),
      ]);
      return typeof found === "string" ? found : "";
    } catch (error) {
      console.warn("Baton:", error);
      return "";
    } finally { clearTimeout(late); }
  }

  /** Another token in place of one that is not taken any more; empty where there is none: the user is signed out. */
  function renew(old: string): Promise<string> {
    if (token !== old) return Promise.resolve(token);
    return (asking ??= (async () => {
      const found = lent ? await request(lent) : typeof given === "function" ? await ask() : "";
      asking = null;
      if (token !== old) return token;
      token = found !== old && nameOf(api.base, found) === user ? found : "";
      if (!token) sign("");
      return token;
    })());
  }

  function sign(named: string): void {
    desk.user = user = named;
    lent = "";
    desk.signed = named ? moves.begin : null;
  }

  async function take(next: Given, restart: () => void): Promise<void> {
    given = next;
    const found = await ask(), named = nameOf(api.base, found);
    if (given !== next || desk.disposed) return;
    if (!named) return void console.warn("Baton: identify() was given no token");
    const before = desk.user || store.user;
    if (before && before !== named) return restart();
    token = found;
    const news = !desk.user;
    sign(named);
    if (news && desk.started) await moves.join();
  }

  /** The token that another tab has for this conversation; empty where none answers. */
  function request(session: string): Promise<string> {
    const of = hash53(api.base + session);
    return new Promise((resolve) => {
      const settle = (about: unknown, offered: string) => {
        if (about !== of) return;
        clearTimeout(late);
        answers.delete(settle);
        resolve(offered);
      };
      const late = setTimeout(settle, NEIGHBOUR, of, "");
      answers.add(settle);
      others.post({ kind: "want", of });
    });
  }

  async function borrow({ id, user: owner }: StoredSession): Promise<boolean> {
    // Whom this page named itself, it speaks for, and for nobody else.
    if (given) return false;
    const offered = await request(id);
    if (given || !offered || nameOf(api.base, offered) !== owner) return false;
    token = offered;
    user = owner;
    lent = id;
    return true;
  }

  return { take, borrow };
}

/** The way to the service, with the token on the calls it is for; one that is not taken any more is replaced once. */
function through(way: Fetch, tokenFor: (authorization?: string) => string, renew: (old: string) => Promise<string>): Fetch {
  return async (url, init) => {
    const headers = init?.headers as Record<string, string> | undefined;
    const send = (token: string) => way(url, token ? { ...init, headers: { ...headers, "Baton-User": token } } : init);
    const token = tokenFor(headers?.Authorization);
    const response = await send(token);
    if (!token || response.status !== 403) return response;
    const problem = await response.clone().json().catch(() => null) as { code?: string } | null;
    const next = problem?.code === "bad_token" ? await renew(token) : "";
    return next ? send(next) : response;
  };
}

/** A short name of whom the token names; empty for what is no token. The service alone checks it. */
function nameOf(base: string, token: string): string {
  try {
    const bytes = Uint8Array.from(atob(token.split(".")[1]!.replace(/-/g, "+").replace(/_/g, "/")), (one) => one.charCodeAt(0));
    const { sub } = JSON.parse(new TextDecoder().decode(bytes)) as { sub?: unknown };
    return typeof sub === "string" && sub ? hash53(`${base} ${sub}`) : "";
  } catch { return ""; }
}

/** How the conversation in the page, or in the browser's memory, becomes the user's. */
function createMoves({ api, desk, sessions, store, notices, page, options, outbox, machine, accept, changed, subscribe }: IdentityParts) {
  const post = (path: string, session?: string) =>
    api.json<Resumed>(path, { method: "POST", session, body: session ? {} : { client_id: randomId() } });
  const claim = (id: string) => call(() => post("api/session/me/claim", id));

  /** Calls until there is an answer; an error that waiting does not mend, or a running answer, is thrown. */
  async function call(work: () => Promise<Resumed>): Promise<Resumed> {
    for (let tries = 0; ; tries++) {
      try { return await work(); } catch (cause) {
        const error = cause as ApiError;
        if (!error.retryable || error.code === "turn_in_progress" || desk.disposed) throw error;
        desk.feedDown = true;
        changed();
        await page.sleepUntilWake(Math.max(error.retryAfter * 1000, Math.min(15_000, 500 * 2 ** tries) * (0.5 + Math.random() / 2)));
      }
    }
  }

  /** At the start: `found` is what the browser remembers. */
  async function begin(found: StoredSession | null): Promise<void> {
    if (!options.autoRestore) return;
    if (found?.user === desk.user) return sessions.resume(found.id, randomId(), "restored", found);
    // Where this tab was the user's before, an anonymous conversation was not begun before signing in: it is another tab's.
    if (!found || found.user || store.user === desk.user || Date.now() - found.seen > options.sessionExpiry * 1000) return last();
    // Whatever is still told of the old id counts no more, in no tab.
    const tabs = openChannel(machine, `baton:${hash53(api.base + found.id)}`, () => {});
    tabs.post({ kind: "moved" });
    tabs.close();
    try { show(await claim(found.id), true, found.id); } catch (cause) {
      const error = cause as ApiError;
      if (error.isGone) { store.forget(found.id); return last(); }
      if (error.code === "not_owner") return store.forget(found.id);
      await sessions.resume(found.id, randomId(), "restored", found);
      if (error.code === "turn_in_progress") void move();
    }
  }

  /** The user's last conversation, wherever he had it; where each tab or page is to have its own, none. */
  async function last(): Promise<void> {
    if (!desk.session) store.user = desk.user;
    if (options.sessionScope !== "browser") return;
    try {
      const found = await call(() => post("api/session/resume"));
      if (!desk.session) show(found, true);
    } catch (error) {
      if (desk.feedDown) { desk.feedDown = false; changed(); }
      if (!(error as ApiError).status) throw error;
    }
  }

  /** Signed in while the chat is there. */
  async function join(): Promise<void> {
    await when(() => !desk.loading);
    if (!desk.session) await last();
    if (anonymous()) void move();
  }

  const anonymous = () => desk.session && !desk.key && !isOver(desk) && !desk.saved?.user && desk.user;

  /** What was begun before signing in becomes the user's as soon as no answer is being made in it. */
  async function move(): Promise<void> {
    for (let tries = 0; tries < 20 && !desk.disposed; tries++) {
      await when(() => !desk.waiting && !desk.transcript.turn && !outbox.waiting.length);
      const { session, saved } = desk;
      if (!session || !anonymous()) return;
      let done = () => {};
      desk.ready = new Promise<void>((go) => { done = go; });
      desk.era++;
      desk.live?.tell("moved");
      desk.live?.stop();
      try {
        const found = await claim(session);
        // Gone meanwhile, says a tab that claimed it too, later: it is this user's.
        if (desk.status === "gone") notices.reset();
        else if (desk.session !== session) return;
        await swap(found, session);
        return;
      } catch (cause) {
        const error = cause as ApiError;
        if (desk.session !== session) return;
        // Another tab was faster, for somebody else.
        if (error.isGone || error.code === "not_owner") return sessions.lose("gone");
        sessions.carry(session, saved ?? {});
        if (error.code !== "turn_in_progress") return void sessions.follow();
        await sessions.follow();
        await page.sleepUntilWake(Math.max(1, error.retryAfter) * 1000);
      } finally { done(); }
    }
  }

  function when(holds: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      if (holds() || desk.disposed) return resolve();
      const stop = subscribe(() => { if (holds()) { stop(); resolve(); } });
    });
  }

  /** The same words under the new id: nothing of it is news. */
  async function swap(found: Resumed, from: string): Promise<void> {
    desk.loading = true;
    desk.transcript = { ...EMPTY, messages: desk.transcript.messages.filter(isLocal) };
    show(found, false, from);
    await page.sleepUntilWake(50);
    desk.loading = false;
    changed();
  }

  /** `from`: the conversation that was claimed, so that the tabs that show it know this one as the same. */
  function show(found: Resumed, restored: boolean, from?: string): void {
    sessions.carry(found.session_id, { user: desk.user, from: from && hash53(api.base + from) });
    if (restored) {
      desk.asked = store.lastClientId;
      if (found.messages?.length) notices.keep("restored");
    }
    accept(found, null);
    desk.live?.place(found.cursor);
    changed();
  }

  return { begin, join };
}
