/** Which session this page has: restored, handed over by a link, taken from another tab, or created for the first question. */
import { ApiError, type Api, type History, type Resumed } from "../client/api";
import type { BrowserStorage, BrowserStorages, StoredSession } from "../client/browser-storage";
import { decodeHandler, decodeMessage, decodeStatus, type ChatEvent } from "../client/decode";
import { getChunk, loadChunk } from "../client/lazy-chunks";
import type { Page } from "../client/page-lifecycle";
import type { Timing } from "../client/sse-connection";
import { hash53, randomId, withLock, type Platform } from "../client/tab-sync";
import type { Settings } from "../options";
import type { LiveFeed } from "./live-feed";
import { isWithPeople, type LossReason } from "./reducer";
import { isBusy, isClosed, type ConversationStore } from "./store";

export interface SessionManagerDeps {
  api: Api;
  store: ConversationStore;
  storage: BrowserStorage;
  storages: BrowserStorages;
  platform: Platform;
  page: Page;
  options: Settings;
  isFullPage: boolean;
  timing?: Partial<Timing>;
  /** Takes up the signed-in user's conversation; `record` is what the browser remembers. */
  restoreForUser(record: StoredSession | null): Promise<void>;
  /** Another tab claimed the conversation in view here for its user: asks that tab for its token; whether it came. */
  requestToken(claimed: StoredSession): Promise<boolean>;
}

type MessagesChunk = typeof import("../messages.chunk");

export type SessionManager = ReturnType<typeof createSessionManager>;

export function createSessionManager(deps: SessionManagerDeps) {
  const isFullPage = !__WIDGET__ && deps.isFullPage;
  const { api, store, storage, platform, page, options } = deps;
  const { dispatch } = store;
  let feed: LiveFeed | null = null,
    feedWanted: object | null = null,
    cursor = "",
    started: Promise<void> | null = null,
    ready: Promise<unknown> | null = null;
  /** A fingerprint of the conversation taken up last. */
  let last = "";

  const isRecent = ({ seen }: StoredSession) => Date.now() - seen < options.sessionExpiry * 1000;
  /** Not too old, and of the same user. */
  const isUsable = (record: StoredSession) =>
    (record.user ?? "") === store.state.user && isRecent(record);
  const backoff = (tries: number) => Math.min(15_000, 500 * 2 ** tries) * (0.5 + Math.random() / 2);

  /** What a signed-in user's conversation is called on every device. */
  const userKey = () =>
    (options.sessionScope === "browser" && store.state.user && storage.name) || undefined;

  // --- the feed of the current session ---

  /** The feed runs while somebody looks, or an answer or a person's words are due; the heartbeat only while somebody looks. */
  function updateFeed(): void {
    const { state } = store,
      open = !isClosed(state);
    feed?.setActive(
      open && ((state.active && page.isRecentlyVisible) || isBusy(state) || isWithPeople(state)),
      open && state.active && page.visible,
    );
  }
  store.subscribe(updateFeed);

  /** The feed is in the messages chunk: opened at once where that is here, else as soon as it can be fetched. */
  function openFeed(session: string): void {
    const mine = (feedWanted = {});
    feed = null;
    cursor = "";
    const open = (): void => {
      const chunk = getChunk<MessagesChunk>("messages");
      if (feedWanted !== mine) return;
      if (chunk) return startFeed(session, chunk.createLiveFeed);
      void loadChunk("messages").then(async (there) => {
        if (!there) await page.sleepUntilWake(3_000);
        open();
      });
    };
    open();
  }

  function closeFeed(): void {
    feed?.stop();
    feed = feedWanted = null;
  }

  /** Where the feed goes on from, once the history was read. */
  function setCursor(at: string): void {
    cursor = at;
    feed?.setCursor(at);
  }

  function startFeed(session: string, create: MessagesChunk["createLiveFeed"]): void {
    let downTimer: ReturnType<typeof setTimeout> | undefined;
    const isCurrent = () => feed === mine;
    const setDown = (down: boolean) => {
      if (isCurrent() && store.state.feedDown !== down) dispatch({ type: "feedDown", value: down });
    };
    const mine = (feed = create({
      api,
      session,
      platform,
      timing: deps.timing,
      heartbeat: options.heartbeatInterval,
      turn: () => store.state.transcript.turn,
      onEvent,
      sync,
      onBeat: updateLastSeen,
      onFeed(state) {
        // A short interruption is not worth a notice.
        if (state === "trying") {
          downTimer ??= setTimeout(setDown, 3_000, true);
          return;
        }
        clearTimeout(downTimer);
        downTimer = undefined;
        setDown(false);
      },
      onRefused(error) {
        clearTimeout(downTimer);
        if (isCurrent()) onForbiddenOrGone(error);
      },
      // Wait up to 3 s for another tab to store the claimed session id; otherwise continue with the old one.
      onClaimPending() {
        dispatch({ type: "claimPending", value: true });
        void hold(
          page.sleepUntilWake(3_000).then(() => {
            if (!store.state.claimPending || !isCurrent()) return;
            adopt(session, store.state.saved ?? {});
            void loadHistory();
          }),
        );
      },
      onHeld: () => dispatch({ type: "unblocked" }),
      onErased() {
        if (isCurrent()) onSessionLost("erased");
      },
    }));
    if (cursor) feed.setCursor(cursor);
    updateFeed();
  }

  function onEvent(event: ChatEvent): void {
    if (event.event === "session" && event.status === "gone") return onSessionLost("erased");
    const before = store.state;
    dispatch({ type: "event", event });
    if (store.state === before || event.event === "answer.delta") return;
    if (event.event !== "session") return updateLastSeen();
    const { session, status, generation } = store.state;
    // An erased session reports that it has ended, too: only a request shows which of the two it was.
    if (session && status === "ended") {
      api.status(session).catch((error: ApiError) => {
        if (error.isGone && generation === store.state.generation) onSessionLost("erased");
      });
    }
  }

  // --- taking up a session, and losing it ---

  function adopt(id: string, was: Partial<StoredSession> = {}): void {
    closeFeed();
    // An answer that arrives after the end of this chat must not be remembered.
    if (store.state.disposed) return;
    // Without a prototype: what the page added to Object.prototype was not stored.
    const saved = { __proto__: null, ...was, id, seen: Date.now() } as StoredSession;
    dispatch({ type: "adopted", id, saved });
    if (!store.state.sessionKey) storage.save(saved);
    last = hash53(api.base + id);
    storage.user = saved.user ?? "";
    openFeed(id);
  }

  /** Takes up a session together with its history, as the service returned them. */
  function open(
    resumed: Resumed,
    stored: Partial<StoredSession> | undefined,
    notice: "continued" | "restored" | null,
  ): void {
    adopt(resumed.session_id, stored);
    if (notice) {
      dispatch({
        type: "resumed",
        lastClientId: notice === "restored" ? storage.lastClientId : store.state.lastClientId,
        notice: notice === "continued" || resumed.messages?.length ? notice : null,
      });
    }
    mergeHistory(resumed, null);
    setCursor(resumed.cursor);
  }

  const messagesOf = ({ messages }: History) =>
    (messages ?? []).map(decodeMessage).filter((one) => one !== null);

  function mergeHistory(
    history: History,
    known: ReadonlySet<string> | null,
    changed = false,
  ): void {
    dispatch({
      type: "history",
      messages: messagesOf(history),
      status: decodeStatus(history.status),
      hasMore: Boolean(history.has_more),
      known,
      // An event that came meanwhile is newer.
      handler: changed ? null : decodeHandler(history),
    });
  }

  const onForbiddenOrGone = (error: ApiError) => onSessionLost(error.isGone ? "gone" : "signIn");

  function forget(reason: LossReason | null): void {
    closeFeed();
    storage.forget(store.state.session, reason);
    // A token from a link is valid for that link's conversation alone.
    if (!__WIDGET__) api.setUserToken();
  }

  function clear(reason: LossReason | null = null): void {
    forget(reason);
    dispatch({ type: "cleared" });
  }

  function onSessionLost(reason: LossReason): void {
    if (!store.state.session) return;
    // Another tab may have a token that is still valid.
    forget(reason === "signIn" ? null : reason);
    dispatch({ type: "lost", reason });
  }

  /** New chat: forgets this conversation in this browser. */
  function startNew(reason: LossReason | null = null): void {
    dispatch({ type: "outboxCleared" });
    storage.unsent = [];
    clear(reason);
    dispatch({ type: "reset", notice: reason });
  }

  function updateLastSeen(): void {
    const { session, saved, sessionKey, disposed } = store.state;
    if (!session || !saved || sessionKey || disposed) return;
    // A heartbeat must not replace what somebody else is talking about in another tab.
    const other = storage.load();
    if (
      other &&
      other.user !== saved.user &&
      Date.now() - other.seen < options.heartbeatInterval * 2000
    )
      return;
    storage.save({ ...saved, seen: Date.now() });
  }

  // --- the history ---

  /** Reads the history again; returns the cursor of its end. */
  async function sync(): Promise<string> {
    const { session, generation, transcript, handler } = store.state,
      known = new Set(transcript.messages.map((one) => one.id));
    const history = await api.history(
      session ?? "",
      undefined,
      Math.min(500, Math.max(100, known.size)),
    );
    if (generation !== store.state.generation) throw new ApiError("aborted", 0, "Too late");
    mergeHistory(history, known, handler !== store.state.handler);
    return history.cursor;
  }

  /** The history of the session just taken up, then the feed from its end. */
  async function loadHistory(): Promise<void> {
    const { generation } = store.state,
      isLate = () => generation !== store.state.generation;
    for (let tries = 0; !isLate() && !store.state.disposed; tries++) {
      try {
        const end = await sync();
        if (!isLate()) setCursor(end);
        return;
      } catch (cause) {
        const error = cause as ApiError;
        if (isLate()) return;
        if (error.isDenied) return onForbiddenOrGone(error);
        await page.sleepUntilWake(backoff(tries));
      }
    }
  }

  // --- where the session comes from ---

  /** Questions wait for this before they are sent. */
  function hold<T>(until: Promise<T>): Promise<T> {
    ready = until;
    return until;
  }

  /** The session to ask in. Tabs of one browser that ask at the same moment get the same one. */
  async function getOrCreate(): Promise<string> {
    await start();
    await ready;
    const current = () => (isClosed(store.state) ? null : store.state.session);
    return (
      current() ??
      withLock(platform.locks, `baton:create:${api.base}`, async () => current() ?? create())
    );
  }

  /** A new session, or one that another tab has just created. */
  async function create(): Promise<string> {
    const { generation, user } = store.state,
      other = sessionOfOtherTab();
    const id = other ? other.id : (await api.create(userKey(), pageMetadata())).session_id;
    if (generation !== store.state.generation) throw new ApiError("aborted", 0, "Too late");
    // What was said before stays above; the new session begins below it.
    dispatch({ type: "archived" });
    const shared = isFullPage ? storage.sharedSession() : null;
    adopt(id, other ?? { user: user || undefined });
    if (isFullPage && store.state.saved && !(shared && isUsable(shared)))
      storage.share(store.state.saved);
    void loadHistory();
    return id;
  }

  /** Where people answer they see on which page somebody asks; what may be secret in its address is left out. */
  const pageMetadata = () =>
    __WIDGET__ && getChunk("people") ? { page: location.origin + location.pathname } : undefined;

  function sessionOfOtherTab(): StoredSession | null {
    const { sessionKey, session } = store.state;
    const record = storage.isShared && !sessionKey && options.autoRestore ? storage.load() : null;
    return record && record.id !== session && isUsable(record) ? record : null;
  }

  /** At the start of the page: what it was opened with, or what the browser remembers. Resolves when that is shown. */
  function start(link?: string): Promise<void> {
    return (started ??= (async () => {
      dispatch({ type: "loading", value: true });
      await ready;
      dispatch({ type: "started", value: true });
      try {
        await restore(link);
      } catch (error) {
        console.error(error);
      } finally {
        dispatch({ type: "loading", value: false });
      }
    })());
  }

  async function restore(link?: string): Promise<void> {
    if (!platform.locks) await useLocalStorageLocks();
    if (options.sessionScope === "tab")
      await (await loadLocks())?.detectDuplicateTab(storage, platform.nativeLocks);
    if (!__WIDGET__ && (await openLink(link))) return;
    const { sessionKey } = store.state;
    if (sessionKey) return resume(sessionKey, randomId(), "restored");
    return restoreStored(storage.load());
  }

  /** On the full page: whether it was opened by a link, or reloaded before that was done. */
  async function openLink(link?: string): Promise<boolean> {
    const opening = link
      ? { session: link, client_id: randomId() }
      : isFullPage
        ? storage.opening
        : null;
    if (!opening) return false;
    storage.opening = opening;
    await resume(opening.session, opening.client_id, "continued");
    storage.opening = null;
    return true;
  }

  async function restoreStored(record: StoredSession | null): Promise<void> {
    if (record && isFullPage) {
      api.setUserToken(record.token);
      return resume(record.id, randomId(), "restored", record);
    }
    if (store.state.user) return deps.restoreForUser(record);
    const known = record ?? (isFullPage ? storage.sharedSession() : null);
    if (known && options.autoRestore && isUsable(known))
      await resume(known.id, randomId(), "restored", known);
  }

  const loadLocks = async () =>
    (await loadChunk("locks")) ? getChunk<typeof import("../locks.chunk")>("locks")! : null;

  /** A page on plain http has no Web Locks: locks in localStorage take their place. */
  async function useLocalStorageLocks(): Promise<void> {
    const { local } = deps.storages;
    try {
      if (!local || !(local.length >= 0)) return;
    } catch {
      return;
    }
    platform.locks = (await loadLocks())?.createLocalStorageLocks(local, randomId()) ?? null;
  }

  async function resume(
    what: string,
    client_id: string,
    notice: "continued" | "restored",
    stored?: Partial<StoredSession>,
  ): Promise<void> {
    void loadChunk("messages");
    for (let tries = 0; !store.state.disposed; tries++) {
      try {
        const resumed = await api.resume(what, client_id);
        return open(
          resumed,
          !__WIDGET__ && notice === "continued" ? fromLink(resumed, what) : stored,
          notice,
        );
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        if (error.code === "origin_not_allowed") return dispatch({ type: "notice", key: "origin" });
        if (!error.retryable) return onResumeDenied(error, notice === "continued");
        dispatch({ type: "feedDown", value: true });
        await page.sleepUntilWake(Math.max(error.retryAfter * 1000, backoff(tries)));
      }
    }
  }

  /** What to remember of a session that a link opened. */
  function fromLink(resumed: Resumed, link: string): Partial<StoredSession> {
    const token = resumed.user_token;
    api.setUserToken(token);
    // A raw id, or a link made for sharing, may have come from anybody.
    const elsewhere = resumed.shared === true || link.startsWith("ses_") || undefined;
    // So may a one-time link, where this browser does not know its session; not one that a signed-in user's own site
    // made, which opens for that user, unless somebody else has been here.
    const shared = storage.sharedSession(),
      isKnown = token ? !shared?.user : shared?.id === resumed.session_id;
    return { elsewhere, handed: (!elsewhere && !isKnown) || undefined, token };
  }

  /** The session cannot be resumed: nothing of it is kept, and the next question starts a new one. */
  function onResumeDenied(error: ApiError, isLink: boolean): void {
    const { sessionKey } = store.state;
    storage.forget(null);
    if (!__WIDGET__) api.setUserToken();
    const denied =
      !__WIDGET__ && isLink && error.code === "not_owner"
        ? "notYours"
        : sessionKey
          ? null
          : "signIn";
    dispatch({
      type: "denied",
      notice: error.isForbidden ? denied : !__WIDGET__ && isLink ? "deadLink" : "gone",
    });
  }

  // --- other tabs ---

  /** Another tab of this browser started, or dropped, the conversation that all of them share. */
  async function onStorage(event: StorageEvent): Promise<void> {
    if (event.key !== storage.key || !followsOtherTabs()) return;
    const { session } = store.state;
    const record = isFullPage ? storage.sharedSession() : storage.load();
    // The reason why it was dropped there; what else that tab sends may arrive later, or not at all.
    const reason = (["gone", "erased"] as const).find((word) => word === event.newValue);
    const isOurs = session !== null && event.oldValue?.includes(session);
    if (reason && isOurs && record?.id !== session) return onSessionLost(reason);
    if (session && showsAlready(session, record)) return;
    if (record) return onOtherSession(record);
    if (isOurs && event.newValue === null) dropShared();
  }

  const showsAlready = (session: string, record: StoredSession | null) =>
    isFullPage || (record?.id === session && !store.state.claimPending);

  async function onOtherSession(record: StoredSession): Promise<void> {
    const { user, saved } = store.state;
    // A user's conversation does not make way for an anonymous one.
    if (!record.user && (user || saved?.user)) return;
    if (record.user && record.user !== user) await followClaim(record);
    else follow(record);
  }

  function followsOtherTabs(): boolean {
    const { sessionKey, loading, started, outbox, claimPending } = store.state;
    return (
      options.sessionScope === "browser" &&
      started &&
      !loading &&
      !sessionKey &&
      (!outbox.length || claimPending)
    );
  }

  /** Another user's is followed in one case: it is what was in view here, claimed in another tab, which gives its token for it. */
  async function followClaim(record: StoredSession): Promise<void> {
    const { from } = record;
    if (!from || from !== last || !(store.state.session || store.state.status === "gone")) return;
    const allowed = await hold(deps.requestToken(record));
    if (from !== last || record.id === store.state.session) return;
    if (allowed) follow(record);
    else dropShared();
  }

  function follow(record: StoredSession): void {
    dispatch({ type: "switched" });
    adopt(record.id, record);
    void loadHistory();
  }

  function dropShared(): void {
    if (isFullPage || !store.state.session || isClosed(store.state)) return;
    clear();
    dispatch({ type: "reset", notice: null });
  }

  return {
    get feed(): LiveFeed | null {
      return feed;
    },
    start,
    messagesOf,
    hold,
    getOrCreate,
    userKey,
    adopt,
    open,
    resume,
    loadHistory,
    isRecent,
    onSessionLost,
    onForbiddenOrGone,
    startNew,
    updateFeed,
    updateLastSeen,
    sync,
    onStorage,
    closeFeed,
  };
}
