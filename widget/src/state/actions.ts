/** What a visitor can do with a conversation besides asking: stop, retry, end, link to it, download, erase, rate. In the messages chunk. */
import type { Api, ApiError } from "../client/api";
import type { Page } from "../client/page-lifecycle";
import type { Settings } from "../options";
import { randomId } from "../client/tab-sync";
import type { Conversation, Message } from "../types";
import type { Outbox } from "./outbox";
import { isLocal, type ConversationState, type OutgoingQuestion } from "./reducer";
import type { SessionManager } from "./session-manager";
import { isBusy, secondsLeft, type ConversationStore } from "./store";

export interface ActionDeps {
  api: Api;
  store: ConversationStore;
  sessions: SessionManager;
  outbox: Outbox;
  page: Page;
  options: Settings;
}

const ME = "api/session/me";

/** The options that a link passes on to the full page. */
const APPEARANCE_PARAMS = ["color", "theme", "lang"] as const;
/** The full page takes these from a site that may embed the chat, and from nobody else. */
const WORD_PARAMS = ["title", "greeting"] as const;

export type Actions = Pick<
  Conversation,
  "end" | "loadOlder" | "handoff" | "transcript" | "erase" | "feedback" | "retry"
> & {
  /** Stops the answer that is being written. `taken`: the question on its way that was taken back, if there was one. */
  stop(taken: OutgoingQuestion | null): Promise<void>;
};

function lastQuestion(messages: readonly Message[]): Message | undefined {
  const questions = messages.filter((one) => one.role === "user");
  return questions.findLast((one) => !isLocal(one)) ?? questions.at(-1);
}

/** The assistant never answers what was said to people, so that is asked anew. */
function askedAgain(
  { id, client_id, content }: Message,
  { handler, unanswered }: ConversationState,
): OutgoingQuestion {
  const again = !handler || id !== unanswered;
  return {
    client_id: (again && client_id) || `q.${randomId()}`,
    text: content,
    at: new Date().toISOString(),
    again,
  };
}

export function createActions({
  api,
  store,
  sessions,
  outbox,
  page,
  options,
}: ActionDeps): Actions {
  const { dispatch } = store;
  const post = <T>(session: string, path: string, body?: object) =>
    api.json<T>(ME + path, { method: "POST", session, timeout: 10, body });
  const notify = (key: string) => dispatch({ type: "notice", key });

  /** Calls the service; a notice reports a lasting failure, unless the view does. Null without a session. */
  async function call<T>(
    work: (session: string) => Promise<T>,
    notice: string | null,
    tries = 3,
  ): Promise<T | null> {
    const { session, generation } = store.state;
    if (!session) return null;
    for (let n = 1; ; n++) {
      try {
        return await work(session);
      } catch (cause) {
        const error = cause as ApiError,
          isCurrent = generation === store.state.generation;
        if (!isCurrent || !error.retryable || n >= tries || error.retryAfter > 5) {
          if (isCurrent) onFailure(error, notice);
          throw error;
        }
        await page.sleepUntilWake(Math.max(error.retryAfter * 1000, 300 * 2 ** n));
      }
    }
  }

  function onFailure(error: ApiError, notice: string | null): void {
    if (error.isDenied) sessions.onForbiddenOrGone(error);
    else if (error.code === "session_ended") dispatch({ type: "status", status: "ended" });
    else if (notice) notify(notice);
  }

  return {
    async stop(taken) {
      const {
        session,
        transcript: { turn },
      } = store.state;
      // Offline, a question that was not sent yet is only taken back.
      if (!session || (taken && !page.online)) return;
      await call((id) => post(id, "/stop"), taken ? null : "notStopped").catch(() => null);
      // The feed reports the end; where it does not, the history has it.
      const pending = () =>
        store.state.waiting || (turn && store.state.transcript.turn?.turn_id === turn.turn_id);
      setTimeout(() => {
        if (!taken && pending()) void sessions.sync().catch(() => {});
      }, 2_000);
    },

    async retry(clientId) {
      const { state } = store,
        { messages } = state.transcript;
      if (state.outbox.some((one) => one.client_id === clientId)) return page.wake();
      if (secondsLeft(state) || (page.online && isBusy(state))) return;
      const unsent = clientId
        ? messages.find((one) => isLocal(one) && one.client_id === clientId)
        : undefined;
      if (unsent)
        return outbox.add({ client_id: clientId!, text: unsent.content, at: unsent.created_at });
      const last = lastQuestion(messages);
      if (last) outbox.add(askedAgain(last, store.state));
    },

    async end() {
      dispatch({ type: "outboxCleared" });
      const { feed } = sessions;
      try {
        if (await call((session) => post(session, "/end"), "notEnded")) feed?.broadcast("ended");
      } catch {
        return;
      }
      if (store.state.session) dispatch({ type: "status", status: "ended" });
    },

    async loadOlder() {
      const { transcript, hasOlder, generation } = store.state,
        first = transcript.messages.find((one) => !isLocal(one));
      if (!first || !hasOlder) return;
      const history = await call((session) => api.history(session, first.id, 50), "unreachable");
      if (!history || generation !== store.state.generation) return;
      dispatch({
        type: "older",
        messages: sessions.messagesOf(history),
        hasMore: Boolean(history.has_more),
      });
    },

    async handoff(kind, withWords) {
      await sessions.start();
      try {
        if (!store.state.session) await sessions.getOrCreate();
      } catch (error) {
        notify("unreachable");
        throw error;
      }
      const link = await call(
        (session) =>
          post<{ url: string; ticket: string; expires_in: number }>(session, "/handoff", { kind }),
        "unreachable",
      );
      if (!link) throw new Error("The service was not reached");
      const url = new URL(options.chatUrl ?? link.url),
        { searchParams } = url;
      searchParams.set("session", link.ticket);
      // The appearance goes along, where the address of the page does not set it.
      if (!options.chatUrl)
        for (const name of withWords ? [...APPEARANCE_PARAMS, ...WORD_PARAMS] : APPEARANCE_PARAMS)
          if (options[name] && !searchParams.has(name)) searchParams.set(name, options[name]);
      return { url: url.href, expires_in: link.expires_in };
    },

    async transcript(format) {
      const file = await call(
        async (session) =>
          (
            await api.request(`${ME}/transcript?format=${format}`, { session, accept: "*/*" })
          ).blob(),
        "unreachable",
      );
      if (!file) throw new Error("There is no conversation yet");
      return file;
    },

    async erase() {
      // Deleting is for whoever began the conversation; a shared link is for reading along and writing.
      if (store.state.openedBySharedLink) return;
      const { feed } = sessions;
      dispatch({ type: "outboxCleared" });
      try {
        await call(
          (session) =>
            api.request(ME, { method: "DELETE", session }).catch((error: ApiError) => {
              if (!error.isGone) throw error;
            }),
          "notErased",
        );
      } catch {
        return;
      }
      feed?.broadcast("erased");
      sessions.startNew("erased");
    },

    async feedback(messageId, rating, comment) {
      await call(
        (session) =>
          post(session, `/messages/${encodeURIComponent(messageId)}/feedback`, { rating, comment }),
        null,
      );
      const feedback = rating ? { rating, ...(comment ? { comment } : {}) } : undefined;
      const message = store.state.transcript.messages.find((one) => one.id === messageId);
      if (message)
        dispatch({
          type: "event",
          event: {
            event: "message",
            message: { ...message, metadata: { ...message.metadata, feedback } },
          },
        });
    },
  };
}
