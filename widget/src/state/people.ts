/** What a visitor asks of people: to come, or to read a message later; and each side sees that the other types. In the people chunk. */
import type { Api, ApiError } from "../client/api";
import { decodeHandler } from "../client/decode";
import { randomId } from "../client/tab-sync";
import type { Handler } from "../types";
import { isWithPeople } from "./reducer";
import type { SessionManager } from "./session-manager";
import type { ConversationStore } from "./store";

export interface PeopleDeps {
  api: Api;
  store: ConversationStore;
  sessions: SessionManager;
}

export interface Contact {
  name?: string;
  email?: string;
}

export interface People {
  /** Asks for a person; who answers now, which is the assistant where nobody is there. */
  request(left?: { reason?: string; contact: Contact }): Promise<Handler["kind"]>;
  /** Leaves a message for when somebody is there. */
  leave(text: string | undefined, contact: Contact): Promise<void>;
  /** The visitor types. Sent at most once in three seconds, and only where a person may see it. */
  typing(): void;
}

const ME = "api/session/me";
const TELL_TYPING_MS = 3_200;
/** An operator who types says so again within this time. */
const TYPING_MS = 6_000;

export function createPeople({ api, store, sessions }: PeopleDeps): People {
  const { dispatch } = store;
  let typingSentAt = -TELL_TYPING_MS,
    typingTimer: ReturnType<typeof setTimeout> | undefined,
    unsent = { text: "", client_id: "" },
    current: Handler | null = null;

  store.subscribe((action) => {
    if (action.type !== "event") return;
    const { event } = action;
    if (event.event === "handler") current = event.handler;
    if (event.event !== "typing") return;
    clearTimeout(typingTimer);
    typingTimer = setTimeout(() => dispatch({ type: "typing", value: "" }), TYPING_MS);
  });

  const post = (session: string, path: string, body: object) =>
    api.json<object>(ME + path, { method: "POST", session, body, timeout: 10 });
  const show = (handler: Handler) =>
    dispatch({ type: "event", event: { event: "handler", handler } });

  async function call(path: string, body: object): Promise<object> {
    const session = await sessions.getOrCreate(),
      { generation } = store.state;
    try {
      return await post(session, path, body);
    } catch (cause) {
      const error = cause as ApiError;
      if (generation === store.state.generation) {
        if (error.isDenied) sessions.onForbiddenOrGone(error);
        if (error.code === "session_ended") dispatch({ type: "status", status: "ended" });
      }
      throw error;
    }
  }

  async function request(left = {}): Promise<Handler["kind"]> {
    await sessions.getOrCreate();
    const { generation } = store.state;
    current = null;
    const handler = decodeHandler(await call("/human", left));
    // What the log brought meanwhile is newer; what the history did may be older.
    if (handler && !current && generation === store.state.generation) show(handler);
    return current ? (current as Handler).kind : "bot";
  }

  return {
    request,
    async leave(text, contact) {
      // The same text again is a retry, which the service stores once.
      if (text && text !== unsent.text) unsent = { text, client_id: `m.${randomId()}` };
      if (text) await call("/messages", { message: text, client_id: unsent.client_id });
      if ((await request({ reason: text?.slice(0, 500), contact })) === "bot")
        show({ kind: "bot", name: "", position: 0, reason: contact.email ? "kept.mail" : "kept" });
      unsent = { text: "", client_id: "" };
    },
    typing() {
      const { session } = store.state,
        now = Date.now();
      if (!session || !isWithPeople(store.state) || now - typingSentAt < TELL_TYPING_MS) return;
      typingSentAt = now;
      post(session, "/typing", {}).catch(() => {});
    },
  };
}
