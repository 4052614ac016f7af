/** The desk: what an operator does here, and what the service sends, as changes of one state. */
import { connectSse, type SseConnection } from "../client/sse-connection";
import type { Frame } from "../client/sse-parser";
import { decodeDeskEvent, type DeskEvent } from "../client/desk-decode";
import type { DeskApi, DeskError, ListQuery } from "../client/desk-api";
import {
  initialDesk,
  newsOf,
  reduceDesk,
  type DeskAction,
  type DeskState,
  type DialogName,
  type News,
  type Notice,
  type PageName,
  visibleRows,
} from "./desk-reducer";
import { createOpenedConversation, type OpenedConversation } from "./desk-opened";
import { isMine } from "./desk-list";
import { parseRoute, routeTo } from "./desk-route";
import type { Reply, Row, ViewName } from "./desk-types";

export interface DeskDeps {
  api: DeskApi;
  /** Whether somebody looks at the page now, and whether the browser is online. */
  page: { readonly visible: boolean; readonly online: boolean };
  location: Pick<Location, "hash">;
  now(): number;
  newId(): string;
  onNews(news: News, row: Row): void;
}

export type Desk = ReturnType<typeof createDesk>;

const SEARCH_PAUSE_MS = 250;
const NOTICE_MS = 7_000;
/** The feed does not send that a visitor was seen once more: the lists are read again as often as this. */
const REFRESH_MS = 60_000;

export function createDesk(deps: DeskDeps) {
  const { api } = deps;
  let state: DeskState = initialDesk,
    invitation: string | null = null,
    feed: SseConnection | null = null,
    cursor = "",
    opened: OpenedConversation | null = null,
    listNumber = 0,
    refreshTimer: ReturnType<typeof setInterval> | undefined,
    searchTimer: ReturnType<typeof setTimeout> | undefined,
    noticeTimer: ReturnType<typeof setTimeout> | undefined;
  const drafts = new Map<string, { reply: string; note: string }>();
  const listeners = new Set<() => void>();

  function dispatch(action: DeskAction): void {
    const next = reduceDesk(state, action);
    if (next === state) return;
    state = next;
    for (const listener of [...listeners]) listener();
  }

  // --- who is logged in ---

  async function checkLogin(): Promise<void> {
    try {
      const current = await api.me();
      if (!current) return dispatch({ type: "login", login: "unreachable" });
      dispatch({ type: "me", ...current });
      enter();
    } catch (error) {
      const { needsLogin } = error as DeskError;
      dispatch({ type: "login", login: needsLogin ? "signedOut" : "unreachable" });
    }
  }

  function enter(): void {
    clearInterval(refreshTimer);
    connect();
    applyRoute();
    know("mine", 100);
    refreshTimer = setInterval(refresh, REFRESH_MS);
    void load(
      () => api.replies(),
      (replies) => dispatch({ type: "replies", replies }),
    );
  }

  /** Reads rows for what is known of them, not for the list that is shown. */
  function know(view: ViewName, limit?: number): void {
    void load(
      () => api.list({ view, limit }),
      ({ conversations }) => dispatch({ type: "known", rows: conversations }),
    );
  }

  function refresh(): void {
    const { page } = state;
    if (!deps.page.visible || page === "analytics") return;
    know(page);
    opened?.refresh();
  }

  /** Nobody is logged in any more: nothing is asked for until somebody is. */
  function leave(login: "expired" | "signedOut"): void {
    clearInterval(refreshTimer);
    feed?.stop();
    feed = null;
    cursor = "";
    listNumber = 0;
    closeConversation();
    dispatch({ type: "login", login });
  }

  async function signIn(): Promise<void> {
    if (!invitation || state.signingIn) return;
    dispatch({ type: "signingIn" });
    try {
      await api.login(invitation);
      invitation = null;
      await checkLogin();
    } catch (error) {
      const { isNetwork, retryable, code } = error as DeskError;
      const key = isNetwork || retryable ? "unreachable" : "spent";
      if (key === "spent") invitation = null;
      dispatch({
        type: "login",
        login: key === "spent" ? "signedOut" : "invited",
        error: code === "rate_limited" ? "wait" : key,
      });
    }
  }

  async function signOut(): Promise<void> {
    await api.logout().catch(() => {});
    drafts.clear();
    leave("signedOut");
  }

  // --- errors and notices ---

  function notice(given: Notice | null): void {
    clearTimeout(noticeTimer);
    dispatch({ type: "notice", notice: given });
    if (given) noticeTimer = setTimeout(() => notice(null), NOTICE_MS);
  }

  /** Says what went wrong; true where it was the login. */
  function fail(cause: unknown): boolean {
    const error = cause as DeskError;
    if (error.needsLogin) {
      leave("expired");
      return true;
    }
    const known: Record<string, string> = {
      already_taken: error.holder ? "taken.by" : "taken",
      not_allowed: "forbidden",
      not_found: "gone",
      session_ended: "ended",
      rate_limited: "wait",
      invalid_request: "refused",
      payload_too_large: "refused",
      session_full: "full",
    };
    const key = known[error.code] ?? (error.isNetwork ? "unreachable" : "error");
    notice({ key, tone: "error", params: { name: error.holder ?? "" } });
    return false;
  }

  /** Reads something that the page can do without. */
  async function load<T>(read: () => Promise<T>, done: (result: T) => void): Promise<void> {
    try {
      done(await read());
    } catch (error) {
      if ((error as DeskError).needsLogin) leave("expired");
    }
  }

  // --- the feed ---

  function connect(): void {
    feed ??= connectSse({
      connect: (after, signal) => api.events(after, signal),
      cursor: () => cursor,
      onFrame,
      onState(now) {
        const first = now === "open" && !state.connected;
        if (now !== "buffered") dispatch({ type: "feed", state: now });
        // What changed between the first list and the feed.
        if (first) void loadList();
      },
      onRefused: () => leave("expired"),
    });
  }

  function onFrame({ event: kind, data, id }: Frame): void {
    let event: DeskEvent | null = null;
    try {
      event = decodeDeskEvent(kind, JSON.parse(data));
    } catch {
      /* a frame that is not JSON is none of ours */
    }
    if (id) cursor = id;
    if (event) onEvent(event, id);
  }

  function onEvent(event: DeskEvent, id: string | null): void {
    switch (event.event) {
      case "conversation":
        return onRow(event.row);
      case "removed":
        return dispatch({ type: "removed", ref: event.ref });
      case "counts":
        return dispatch({ type: "counts", counts: event.counts });
      case "operators":
        return dispatch({ type: "operators", operators: event.operators });
      case "reset":
        if (!id) cursor = "";
        void loadList();
        if (!id) feed?.reconnect();
    }
  }

  function onRow(row: Row): void {
    const before = state.rows.get(row.ref);
    const news = newsOf(before, row, state.me, deps.now());
    dispatch({ type: "row", row });
    opened?.onRow(row);
    if (isMine(row, state.me) && !(before && isMine(before, state.me))) followTaken(row.ref);
    const looking = deps.page.visible && state.opened?.ref === row.ref;
    if (news && !looking) deps.onNews(news, row);
  }

  /** What was taken leaves the view: on to one's own, unless others wait in the queue or a search is shown. */
  function followTaken(ref: string): void {
    const { page, query } = state;
    const hasLeft = page === "bot" || (page === "queue" && !visibleRows(state).length);
    if (hasLeft && !query && state.opened?.ref === ref) go("mine", ref);
  }

  // --- the list ---

  async function loadList(more = false): Promise<void> {
    const { page, query } = state;
    if (page === "analytics") return;
    const number = ++listNumber;
    dispatch({ type: "listing" });
    const asked: ListQuery = {
      view: page,
      q: query,
      cursor: (more && state.list.cursor) || undefined,
    };
    try {
      const listing = await api.list(asked);
      if (number === listNumber) dispatch({ type: "listed", listing, more });
    } catch (error) {
      if ((error as DeskError).needsLogin) return leave("expired");
      if (number === listNumber) dispatch({ type: "listFailed" });
    }
  }

  function search(query: string): void {
    clearTimeout(searchTimer);
    searchTimer = setTimeout(() => {
      if (query === state.query) return;
      dispatch({ type: "query", query });
      void loadList();
    }, SEARCH_PAUSE_MS);
  }

  // --- where one is ---

  function applyRoute(): void {
    if (state.login !== "in") return;
    const { page, ref } = parseRoute(deps.location.hash);
    if (page !== state.page || !listNumber) {
      dispatch({ type: "page", page });
      void loadList();
    }
    if (ref === (state.opened?.ref ?? null)) return;
    closeConversation();
    if (ref) openConversation(ref);
  }

  function go(page: PageName, ref?: string | null): void {
    deps.location.hash = routeTo(page, ref);
    applyRoute();
  }

  function openConversation(ref: string): void {
    const saved = drafts.get(ref) ?? { reply: "", note: "" };
    opened = createOpenedConversation({
      api,
      ref,
      row: state.rows.get(ref) ?? null,
      drafts: saved,
      me: () => state.me,
      isLookedAt: () => deps.page.visible,
      now: deps.now,
      newId: deps.newId,
      changed: (now) => dispatch({ type: "opened", opened: now }),
      fail,
    });
  }

  function closeConversation(): void {
    if (!opened) return;
    const { ref, replyDraft, noteDraft } = opened.state;
    if (replyDraft || noteDraft) drafts.set(ref, { reply: replyDraft, note: noteDraft });
    else drafts.delete(ref);
    opened.stop();
    opened = null;
    dispatch({ type: "opened", opened: null });
  }

  /** Runs a call about the open conversation; true when it worked. */
  async function act(call: (ref: string) => Promise<unknown>): Promise<boolean> {
    const ref = state.opened?.ref;
    if (!ref) return false;
    try {
      await call(ref);
      return true;
    } catch (error) {
      fail(error);
      return false;
    }
  }

  return {
    api,
    get state() {
      return state;
    },
    get opened() {
      return opened;
    },
    subscribe(listener: () => void): () => void {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    /**
     * `invite`: the invitation that the address held; it signs in at once where nobody is logged in here, and otherwise
     * waits for `signIn`. `signedOut`: the page knows from the service that nobody is logged in.
     */
    async start(invite: string | null, signedOut = false): Promise<void> {
      dispatch({ type: "online", online: deps.page.online });
      invitation = invite;
      if (invite || signedOut) dispatch({ type: "login", login: invite ? "invited" : "signedOut" });
      if (invite && signedOut) await signIn();
      else if (!invite && !signedOut) await checkLogin();
    },
    retry: checkLogin,
    signIn,
    signOut,
    applyRoute,
    go,
    search,
    setReplies: (replies: readonly Reply[]) => dispatch({ type: "replies", replies }),
    transcriptUrl: api.transcriptUrl,
    reloadList: () => void loadList(),
    loadMore: () => void loadList(true),
    notice,
    fail,
    dialog: (dialog: DialogName | null) => dispatch({ type: "dialog", dialog }),
    async setAvailable(available: boolean): Promise<void> {
      try {
        const current = await api.setAvailable(available);
        if (current) dispatch({ type: "me", ...current });
      } catch (error) {
        fail(error);
      }
    },
    take: (force = false) => act((ref) => api.take(ref, force)),
    release: (to: string) => act((ref) => api.release(ref, to)),
    end: () => act((ref) => api.end(ref)),
    async erase(): Promise<boolean> {
      const ref = state.opened?.ref;
      if (!(await act((one) => api.erase(one)))) return false;
      if (ref) dispatch({ type: "removed", ref });
      go(state.page);
      return true;
    },
    /** The page became visible, went online or offline, or woke from sleep. */
    onPageChange(): void {
      dispatch({ type: "online", online: deps.page.online });
      opened?.setActive(deps.page.visible);
    },
    wake(): void {
      feed?.wake();
      opened?.wake();
      if (state.login === "unreachable") void checkLogin();
    },
  };
}
