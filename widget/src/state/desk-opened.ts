/** The conversation that is open: reads and follows it, and does what an operator does in it. */
import type { DeskApi } from "../client/desk-api";
import type { Message } from "../types";
import {
  knownIds,
  openConversation,
  reduceOpened,
  type Opened,
  type OpenedAction,
} from "./desk-conversation";
import { startConversationFeed } from "./desk-conversation-feed";
import { isAtLeast, type Me, type Row } from "./desk-types";

export interface OpenedDeps {
  api: DeskApi;
  ref: string;
  row: Row | null;
  drafts: { reply: string; note: string };
  me(): Me | null;
  isLookedAt(): boolean;
  now(): number;
  newId(): string;
  changed(state: Opened): void;
  /** Says what went wrong; true where it was the login. */
  fail(error: unknown): boolean;
}

export type OpenedConversation = ReturnType<typeof createOpenedConversation>;

/** A word of typing is sent on once in this time at most: the service passes on none that comes within 3 s. */
const TYPING_PAUSE_MS = 3_200;
const EARLIER = 10;

export function createOpenedConversation(deps: OpenedDeps) {
  const { api, ref } = deps;
  let state: Opened = {
      ...openConversation(ref, deps.row),
      replyDraft: deps.drafts.reply,
      noteDraft: deps.drafts.note,
    },
    stopped = false,
    typedAt = 0,
    userAsked = "";
  const texts = new Map<string, string>();

  function dispatch(action: OpenedAction): void {
    if (stopped) return;
    const next = reduceOpened(state, action);
    if (next === state) return;
    state = next;
    deps.changed(state);
  }

  const feed = startConversationFeed({
    api,
    ref,
    onReading() {
      const known = knownIds(state);
      return (history) => dispatch({ type: "history", history, known });
    },
    onEvent: (event) => dispatch({ type: "event", event, now: deps.now() }),
    onError(error) {
      if (error.needsLogin) deps.fail(error);
      else dispatch({ type: "failed", failed: error.isGone ? "gone" : "unreachable" });
    },
  });

  async function readRow(): Promise<void> {
    try {
      const row = await api.conversation(ref);
      if (row) onRow(row);
    } catch {
      /* the history tells what is wrong */
    }
  }

  /** The feed tells that an answer was rated, the history how. */
  async function readRatings(): Promise<void> {
    const known = knownIds(state);
    try {
      dispatch({ type: "history", history: await api.history(ref), known });
    } catch {
      /* the feed tells what is wrong */
    }
  }

  function onRow(row: Row): void {
    if (row.ref !== ref || stopped) return;
    const before = state.row;
    dispatch({ type: "row", row });
    if (before && row.rated_at !== before.rated_at) void readRatings();
    markRead();
    void readEarlier(row);
  }

  function markRead(): void {
    if (!state.row?.unread || !deps.isLookedAt() || !isAtLeast(deps.me()?.role, "operator")) return;
    void api.read(ref).catch(() => {});
  }

  /** The other conversations of a user whom the site vouches for. */
  async function readEarlier({ user }: Row): Promise<void> {
    if (!user || user.id === userAsked) return;
    userAsked = user.id;
    try {
      const { conversations } = await api.list({ user: user.id, limit: EARLIER });
      dispatch({ type: "earlier", rows: conversations.filter((row) => row.ref !== ref) });
    } catch {
      userAsked = "";
    }
  }

  async function deliver(client_id: string): Promise<void> {
    try {
      const message = await api.send(ref, texts.get(client_id)!, client_id);
      texts.delete(client_id);
      if (message) dispatch({ type: "stored", message, client_id });
    } catch (error) {
      dispatch({ type: "notSent", client_id });
      deps.fail(error);
    }
  }

  deps.changed(state);
  void readRow();
  if (deps.row) onRow(deps.row);

  return {
    get state() {
      return state;
    },
    onRow,
    refresh(): void {
      void readRow();
    },
    setDraft(field: "replyDraft" | "noteDraft", text: string): void {
      dispatch({ type: "draft", field, text });
      if (field === "noteDraft" || !text.trim() || deps.now() - typedAt < TYPING_PAUSE_MS) return;
      typedAt = deps.now();
      void api.typing(ref).catch(() => {});
    },
    /** Shown at once; the words stay on the screen with Retry where they do not arrive. */
    async send(text: string): Promise<void> {
      const me = deps.me();
      if (!me || !text.trim()) return;
      const client_id = deps.newId();
      texts.set(client_id, text);
      typedAt = 0;
      const at = new Date(deps.now()).toISOString();
      dispatch({ type: "draft", field: "replyDraft", text: "" });
      dispatch({ type: "sending", text, client_id, me, at });
      await deliver(client_id);
    },
    async resend(client_id: string | undefined): Promise<void> {
      if (!client_id || !texts.has(client_id)) return;
      dispatch({ type: "resending", client_id });
      await deliver(client_id);
    },
    /** The text stays in its field until it is stored. */
    async addNote(text: string): Promise<void> {
      if (!text.trim()) return;
      try {
        const message: Message | null = await api.addNote(ref, text);
        if (message) dispatch({ type: "stored", message });
        if (state.noteDraft === text) dispatch({ type: "draft", field: "noteDraft", text: "" });
      } catch (error) {
        deps.fail(error);
      }
    },
    async loadOlder(): Promise<void> {
      const first = state.transcript.messages.find((one) => one.role !== "note");
      if (!state.hasOlder || state.loading || !first) return;
      dispatch({ type: "loading" });
      try {
        const { messages, has_more } = await api.history(ref, first.id);
        dispatch({ type: "older", messages, hasMore: has_more });
      } catch (error) {
        if (!deps.fail(error)) dispatch({ type: "failed", failed: "" });
      }
    },
    setActive(active: boolean): void {
      feed.setActive(active);
      if (active) markRead();
    },
    wake: feed.wake,
    stop(): void {
      stopped = true;
      feed.stop();
    },
  };
}
