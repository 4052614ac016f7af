/** The state of the desk and the one function that changes it. Pure. */
import type { Opened } from "./desk-conversation";
import { belongs, isMine, lastActivity, sortRows } from "./desk-list";
import {
  NO_COUNTS,
  type Colleague,
  type Counts,
  type Listing,
  type Me,
  type Reply,
  type Row,
  type ViewName,
} from "./desk-types";

/**
 * `invited`: the address held an invitation that waits to be used; `signedOut`: nobody is logged in;
 * `expired`: somebody was; `unreachable`: it is not known.
 */
export type Login = "loading" | "invited" | "signedOut" | "in" | "expired" | "unreachable";
export type PageName = ViewName | "analytics";

export interface Notice {
  key: string;
  params?: Record<string, string | number>;
  tone: "info" | "warning" | "error";
}

export type DialogName =
  "end" | "delete" | "assign" | "help" | "palette" | "settings" | "team" | "replies";

export interface DeskState {
  login: Login;
  /** Signing in is under way. */
  signingIn: boolean;
  /** Why signing in failed: the key of a text. */
  loginError: string;
  me: Me | null;
  available: boolean;
  page: PageName;
  query: string;
  counts: Counts;
  operators: readonly Colleague[];
  replies: readonly Reply[];
  /** Every conversation heard of, newest news last. */
  rows: ReadonlyMap<string, Row>;
  list: {
    /** Those that the service listed for this view and query, and what came since. */
    refs: ReadonlySet<string>;
    cursor: string | null;
    loading: boolean;
    failed: boolean;
    /** What the feed brought while the list was being read: newer than the list. */
    meanwhile: ReadonlyMap<string, Row>;
  };
  /** The feed has been open at least once. */
  connected: boolean;
  feedDown: boolean;
  online: boolean;
  opened: Opened | null;
  dialog: DialogName | null;
  notice: Notice | null;
}

export type DeskAction =
  | { type: "login"; login: Login; error?: string }
  | { type: "signingIn" }
  | { type: "me"; me: Me; available: boolean }
  | { type: "page"; page: PageName }
  | { type: "query"; query: string }
  | { type: "listing"; more?: boolean }
  | { type: "listed"; listing: Listing; more: boolean }
  | { type: "listFailed" }
  /** Rows that were read for another purpose than the list that is shown. */
  | { type: "known"; rows: readonly Row[] }
  | { type: "row"; row: Row }
  | { type: "removed"; ref: string }
  | { type: "counts"; counts: Counts }
  | { type: "operators"; operators: readonly Colleague[] }
  | { type: "replies"; replies: readonly Reply[] }
  | { type: "feed"; state: "open" | "trying" }
  | { type: "online"; online: boolean }
  | { type: "opened"; opened: Opened | null }
  | { type: "dialog"; dialog: DialogName | null }
  | { type: "notice"; notice: Notice | null };

const MAX_ROWS = 2_000;
const NEW_MS = 60_000;
const EMPTY_LIST: DeskState["list"] = {
  refs: new Set(),
  cursor: null,
  loading: true,
  failed: false,
  meanwhile: new Map(),
};

export const initialDesk: DeskState = {
  login: "loading",
  signingIn: false,
  loginError: "",
  me: null,
  available: false,
  page: "queue",
  query: "",
  counts: NO_COUNTS,
  operators: [],
  replies: [],
  rows: new Map(),
  list: EMPTY_LIST,
  connected: false,
  feedDown: false,
  online: true,
  opened: null,
  dialog: null,
  notice: null,
};

export function reduceDesk(state: DeskState, action: DeskAction): DeskState {
  switch (action.type) {
    case "login":
      return withLogin(state, action.login, action.error ?? "");
    case "signingIn":
      return { ...state, signingIn: true, loginError: "" };
    case "me":
      return { ...withLogin(state, "in", ""), me: action.me, available: action.available };
    case "page":
      return { ...state, page: action.page, query: "", list: EMPTY_LIST };
    case "query":
      return { ...state, query: action.query, list: EMPTY_LIST };
    case "listing":
      return { ...state, list: { ...state.list, loading: true, failed: false } };
    case "listed":
      return withListing(state, action.listing, action.more);
    case "listFailed":
      return { ...state, list: { ...state.list, loading: false, failed: true } };
    case "known":
      return { ...state, rows: action.rows.reduce(withRow, state.rows) };
    case "row":
      return withLiveRow(state, action.row);
    case "removed":
      return withoutRow(state, action.ref);
    case "counts":
      return { ...state, counts: action.counts };
    case "operators":
      return withOperators(state, action.operators);
    case "replies":
      return { ...state, replies: action.replies };
    case "feed":
      return action.state === "open"
        ? { ...state, connected: true, feedDown: false }
        : { ...state, feedDown: true };
    case "online":
      return { ...state, online: action.online };
    case "opened":
      return { ...state, opened: action.opened };
    case "dialog":
      return { ...state, dialog: action.dialog };
    case "notice":
      return { ...state, notice: action.notice };
  }
}

/** Whoever logs out leaves nothing on the screen. */
function withLogin(state: DeskState, login: Login, loginError: string): DeskState {
  if (login === "in") return { ...state, login, loginError, signingIn: false };
  const { online, page } = state;
  return { ...initialDesk, online, page, login, loginError };
}

function withRow(rows: ReadonlyMap<string, Row>, row: Row): ReadonlyMap<string, Row> {
  const next = new Map(rows);
  next.delete(row.ref);
  next.set(row.ref, row);
  if (next.size > MAX_ROWS) next.delete(next.keys().next().value!);
  return next;
}

function withListing(state: DeskState, listing: Listing, more: boolean): DeskState {
  const { meanwhile } = state.list;
  const listed = listing.conversations.map((row) => meanwhile.get(row.ref) ?? row);
  const refs = new Set(more ? state.list.refs : []);
  for (const row of listed) refs.add(row.ref);
  if (!state.query) for (const ref of meanwhile.keys()) refs.add(ref);
  return {
    ...state,
    rows: listed.reduce(withRow, state.rows),
    counts: listing.counts,
    list: {
      refs,
      cursor: listing.cursor,
      loading: false,
      failed: false,
      meanwhile: new Map(),
    },
  };
}

function withLiveRow(state: DeskState, row: Row): DeskState {
  const { list, query } = state;
  const meanwhile = list.loading ? withRow(list.meanwhile, row) : list.meanwhile;
  // What a search finds is for the service to say.
  const refs = query || list.refs.has(row.ref) ? list.refs : new Set(list.refs).add(row.ref);
  return { ...state, rows: withRow(state.rows, row), list: { ...list, refs, meanwhile } };
}

function withoutRow(state: DeskState, ref: string): DeskState {
  const [rows, refs, meanwhile] = [
    new Map(state.rows),
    new Set(state.list.refs),
    new Map(state.list.meanwhile),
  ];
  for (const known of [rows, refs, meanwhile]) known.delete(ref);
  return { ...state, rows, list: { ...state.list, refs, meanwhile } };
}

function withOperators(state: DeskState, operators: readonly Colleague[]): DeskState {
  const self = operators.find((one) => one.id === state.me?.id);
  // Whoever is not present yet counts as away, whatever they have switched.
  return { ...state, operators, available: self?.present ? self.available : state.available };
}

/** The conversations on the screen, in the order of the view. */
export function visibleRows(state: DeskState): Row[] {
  const { page, me, list, rows } = state;
  if (page === "analytics") return [];
  const listed = [...list.refs].flatMap((ref) => rows.get(ref) ?? []);
  return sortRows(
    listed.filter((row) => belongs(row, page, me)),
    page,
  );
}

/** How many conversations want something of this operator: all that wait, and their own with unread words. */
export function attention({ counts, rows, me }: DeskState): number {
  let unread = 0;
  for (const row of rows.values())
    if (row.unread > 0 && row.status !== "ended" && isMine(row, me)) unread++;
  return counts.queue + unread;
}

export type News = "queue" | "message";

/** News that is worth a sound: somebody waits, or one's own visitor wrote. `before`: the row as it was known. */
export function newsOf(before: Row | undefined, row: Row, me: Me | null, now: number): News | null {
  if (row.status === "ended") return null;
  if (row.handler === "queue") return isNewInQueue(before, row, now) ? "queue" : null;
  const wrote = row.last_message?.role === "user" && isMine(row, me);
  return wrote && before && lastActivity(before) < lastActivity(row) ? "message" : null;
}

/** Of a row that was not known, only a wait that has just begun is news. */
function isNewInQueue(before: Row | undefined, row: Row, now: number): boolean {
  if (before) return before.handler !== "queue";
  return now - Date.parse(row.waiting_since ?? row.created_at) < NEW_MS;
}
