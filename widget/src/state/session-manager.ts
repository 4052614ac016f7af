/** Which session this page carries: found again, handed over by a link, taken from another tab, or made for the first question. */
import { ApiError, type Api, type History } from "../client/api";
import { isOver, type Desk } from "./store";
import { createLive, type LiveParts } from "./live-feed";
import { getChunk, loadChunk } from "../client/lazy-chunks";
import type { Notices } from "./notices";
import type { Settings } from "../options";
import type { BrowserStorages, StoredSession, BrowserStorage } from "../client/browser-storage";
import { withLock, isDuplicate, randomId, hash53, type Platform } from "../client/tab-sync";
import { EMPTY, isLocal } from "./reducer";
import type { Page } from "../client/page-lifecycle";

export interface SessionParts {
  api: Api;
  desk: Desk;
  store: BrowserStorage;
  machine: Platform;
  notices: Notices;
  page: Page;
  options: Settings;
  own: boolean;
  places: BrowserStorages;
  live: Pick<LiveParts, "onEvent" | "timing">;
  /** The desk has changed: show it, and want of the feed what is wanted now. */
  changed(): void;
  accept(found: History, known: ReadonlySet<string> | null): void;
  busy(): boolean;
  /** Another tab has claimed the conversation in view here for its user: the token for that one, where that tab gives it. */
  borrow(claimed: StoredSession): Promise<boolean>;
}

export type Loss = "gone" | "erased" | "signIn";
export type Sessions = ReturnType<typeof createSessions>;

export function createSessions(parts: SessionParts) {
  const { api, desk, store, machine, notices, page, options, own, changed, accept } = parts;
  /** Not too old, and nobody else's. */
  const fresh = (record: StoredSession) => (record.user ?? "") === desk.user && Date.now() - record.seen < options.sessionExpiry * 1000;
  /** A short name of the conversation taken up last. */
  let last = "";
  const backoff = (tries: number) => Math.min(15_000, 500 * 2 ** tries) * (0.5 + Math.random() / 2);

  function carry(id: string, was: Partial<StoredSession> = {}): void {
    desk.live?.stop();
    // An answer that comes after the end of this chat must not be remembered.
    if (desk.disposed) return;
    was = { __proto__: null, ...was } as Partial<StoredSession>;
    Object.assign(desk, { session: id, era: desk.era + 1, moved: false, status: "active", fromElsewhere: Boolean(was.elsewhere), handedOver: !__WIDGET__ && Boolean(was.handed), feedDown: false });
    desk.saved = { ...was, id, seen: Date.now() };
    if (id !== desk.key) store.save(desk.saved);
    last = hash53(api.base + id);
    store.user = was.user ?? "";
    const mine = desk.era;
    let down: ReturnType<typeof setTimeout> | undefined;
    const setDown = (next: boolean) => { if (mine === desk.era && desk.feedDown !== next) { desk.feedDown = next; changed(); } };
    desk.live = createLive({
      ...parts.live, api, session: id, platform: machine, heartbeat: options.heartbeatInterval,
      turn: () => desk.transcript.turn, sync, onBeat: touch,
      onFeed(next) {
        // A short break is nobody's business.
        if (next === "trying") { down ??= setTimeout(setDown, 3_000, true); return; }
        clearTimeout(down);
        down = undefined;
        setDown(false);
      },
      onRefused(error) { clearTimeout(down); if (mine === desk.era) refused(error); },
      // A question asked just now waits for the new id, which comes by the storage; where none comes, all is as before.
      onMoved() {
        desk.moved = true;
        desk.ready = page.sleepUntilWake(3_000).then(() => { if (desk.moved && mine === desk.era) { carry(id, desk.saved ?? {}); void follow(); } });
      },
      onErased: () => { if (mine === desk.era) lose("erased"); },
    });
  }

  function refused(error: ApiError): void {
    lose(error.isGone ? "gone" : "signIn");
  }

  function drop(why: Loss | null = null): void {
    desk.live?.stop();
    store.forget(desk.session, why);
    Object.assign(desk, {
      session: null, saved: null, key: null, live: null, era: desk.era + 1,
      fromElsewhere: false, handedOver: false, unanswered: false, hasOlder: false, feedDown: false,
    });
    // What a link proved, it proved for its own conversation alone.
    if (!__WIDGET__) api.setUserToken();
  }

  /** The session is no more, or opens to us no more; what was said stays readable where it merely expired. */
  function lose(why: Loss): void {
    if (!desk.session) return;
    // A proof that another tab has may be good still.
    drop(why === "signIn" ? null : why);
    if (why !== "gone") { desk.transcript = EMPTY; desk.past = []; }
    desk.transcript = { ...desk.transcript, turn: null, failed: null };
    desk.status = why === "gone" ? why : "none";
    if (!parts.busy()) desk.waiting = false;
    notices.keep(why);
    changed();
  }

  function touch(): void {
    if (!desk.session || !desk.saved || desk.key || desk.disposed) return;
    desk.saved = { ...desk.saved, seen: Date.now() };
    // What somebody else talks about in another tab is not put out of the browser's memory by a mere heartbeat.
    const other = store.load();
    if (other && other.user !== desk.saved.user && Date.now() - other.seen < options.heartbeatInterval * 2000) return;
    store.save(desk.saved);
  }

  async function sync(): Promise<string> {
    const mine = desk.era, known = new Set(desk.transcript.messages.map((one) => one.id));
    const found = await api.history(desk.session ?? "", undefined, Math.min(500, Math.max(100, known.size)));
    if (mine !== desk.era) throw new ApiError("aborted", 0, "Too late");
    accept(found, known);
    return found.cursor;
  }

  /** The history of the session just taken up, then the feed from its end. */
  async function follow(): Promise<void> {
    const mine = desk.era;
    for (let tries = 0; mine === desk.era && !desk.disposed; tries++) {
      try {
        const cursor = await sync();
        if (mine === desk.era) desk.live?.place(cursor);
        return;
      } catch (error) {
        if (mine !== desk.era) return;
        if ((error as ApiError).isGone || (error as ApiError).isForbidden) return refused(error as ApiError);
        await page.sleepUntilWake(backoff(tries));
      }
    }
  }

  /** Puts what was said before aside: it stays above, and the next session begins below it. */
  function turnPage(): void {
    desk.past = [...desk.past, ...desk.transcript.messages.filter((one) => !isLocal(one))];
    desk.transcript = { ...EMPTY, messages: desk.transcript.messages.filter(isLocal) };
  }

  /** A session to speak in. Tabs of one browser that ask at the same moment get the same. */
  function ensure(): Promise<string> {
    if (desk.session && !isOver(desk)) return Promise.resolve(desk.session);
    return withLock(machine.locks, `baton:create:${api.base}`, async () => {
      if (desk.session && !isOver(desk)) return desk.session;
      const mine = desk.era;
      const other = store.isShared && !desk.key && options.autoRestore ? store.load() : null;
      const known = other && other.id !== desk.session && fresh(other);
      const id = known ? other.id : (await api.create()).session_id;
      if (mine !== desk.era) throw new ApiError("aborted", 0, "Too late");
      turnPage();
      desk.key = null;
      const common = !__WIDGET__ && own ? store.sharedSession() : null;
      carry(id, known ? other : { user: desk.user || undefined });
      if (!__WIDGET__ && own && desk.saved && !(common && fresh(common))) store.share(desk.saved);
      changed();
      void follow();
      return id;
    });
  }

  /** At the start of the page: what it came with, or what the browser remembers. Resolves when that is shown. */
  async function begin(link?: string): Promise<void> {
    if (!machine.locks) await borrowLocks();
    if (options.sessionScope === "tab") await claimTab();
    const opening = link ? { session: link, client_id: randomId() } : !__WIDGET__ && own ? store.opening : null;
    if (!__WIDGET__ && opening) {
      store.opening = opening;
      await resume(opening.session, opening.client_id, "continued");
      store.opening = null;
      return;
    }
    if (desk.key) return resume(desk.key, randomId(), "restored");
    const record = store.load();
    if (record && !__WIDGET__ && own) {
      api.setUserToken(record.token);
      return resume(record.id, randomId(), "restored", record);
    }
    if (desk.signed) return desk.signed(record);
    const found = record ?? (!__WIDGET__ && own ? store.sharedSession() : null);
    if (found && options.autoRestore && fresh(found)) await resume(found.id, randomId(), "restored", found);
  }

  /** On plain http a page has no locks: leases in the storage take their place, fetched for those pages alone. */
  async function borrowLocks(): Promise<void> {
    const { local } = parts.places;
    try { if (!local || !(local.length >= 0)) return; } catch { return; }
    if (await loadChunk("locks")) machine.locks = getChunk<typeof import("../client/local-storage-locks")>("locks")!.createLocalStorageLocks(local, randomId());
  }

  /** A duplicated tab starts with a copy of the other's storage, and must not go on in its conversation. */
  async function claimTab(): Promise<void> {
    const name = store.tabId;
    const duplicate = name !== null && await isDuplicate(machine.nativeLocks, `baton:tab:${name}`);
    if (duplicate) store.clearTabState();
    if (name !== null && !duplicate) return;
    store.tabId = randomId();
    await isDuplicate(machine.nativeLocks, `baton:tab:${store.tabId}`);
  }

  async function resume(what: string, client_id: string, notice: "continued" | "restored", was?: StoredSession): Promise<void> {
    for (let tries = 0; !desk.disposed; tries++) {
      try {
        const found = await api.resume(what, client_id);
        let from = was;
        if (!__WIDGET__ && notice === "continued") {
          const elsewhere = found.shared === true || what.startsWith("ses_") || undefined, token = found.user_token;
          // A raw id, or a link made for sharing, may have come from anybody; a link for once too, where this browser does not know its session.
          from = { id: "", seen: 0, elsewhere, handed: (!elsewhere && store.sharedSession()?.id !== found.session_id) || undefined, token };
          api.setUserToken(token);
        }
        carry(found.session_id, from);
        if (notice === "restored") desk.asked = store.lastClientId;
        if (notice === "continued" || found.messages?.length) notices.keep(notice);
        accept(found, null);
        desk.live?.place(found.cursor);
        return changed();
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        if (!error.retryable) return deny(error, notice === "continued");
        desk.feedDown = true;
        changed();
        await page.sleepUntilWake(Math.max(error.retryAfter * 1000, backoff(tries)));
      }
    }
  }

  /** What was to be carried on cannot be: nothing of it is kept, and the next question begins anew. */
  function deny(error: ApiError, link: boolean): void {
    const { key } = desk;
    store.forget(null);
    desk.key = null;
    desk.status = "none";
    desk.feedDown = false;
    if (!__WIDGET__) api.setUserToken();
    if (!error.isForbidden) notices.keep(!__WIDGET__ && link ? "deadLink" : "gone");
    else if (!__WIDGET__ && link && error.code === "not_owner") notices.keep("notYours");
    else notices.keep(key ? null : "signIn");
    changed();
  }

  /** Another tab of this browser began, or dropped, the conversation that all of them share. */
  async function onStorage(event: StorageEvent): Promise<void> {
    if (event.key !== store.key || desk.key || desk.loading || !desk.started || (parts.busy() && !desk.moved) || options.sessionScope !== "browser") return;
    let record = !__WIDGET__ && own ? store.sharedSession() : store.load(), dropped = event.newValue === null && Boolean(desk.session && event.oldValue?.includes(desk.session));
    // Why it was dropped there; what that tab says besides may come after this, or not at all.
    const why = (["gone", "erased"] as const).find((word) => word === event.newValue);
    if (why && desk.session && record?.id !== desk.session && event.oldValue?.includes(desk.session)) return lose(why);
    if (!__WIDGET__ && own ? desk.session : desk.session && record?.id === desk.session && !desk.moved) return;
    // A user's conversation does not make way for an anonymous one.
    if (record && !record.user && (desk.user || desk.saved?.user)) return;
    if (record?.user && record.user !== desk.user) {
      // Another person's is followed in one case: it is what was in view here, claimed in another tab, which lends its token for it.
      const { from } = record;
      if (!from || from !== last || !(desk.session || desk.status === "gone")) return;
      dropped = !(await (desk.ready = parts.borrow(record)));
      if (from !== last || record.id === desk.session) return;
      if (dropped) record = null;
    }
    if (record) {
      desk.past = [];
      desk.transcript = { ...EMPTY, messages: desk.transcript.messages.filter(isLocal) };
      notices.reset();
      carry(record.id, record);
      changed();
      void follow();
    } else if (dropped && (__WIDGET__ || !own) && desk.session && !isOver(desk)) {
      drop();
      Object.assign(desk, { status: "none", transcript: EMPTY, past: [] });
      notices.reset();
      changed();
    }
  }

  return { begin, ensure, carry, resume, follow, fresh, lose, refused, drop, touch, sync, onStorage };
}
