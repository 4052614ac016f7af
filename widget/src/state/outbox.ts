/** Sends questions one after another: each until the service has taken it, and never twice. What was not taken survives a reload. */
import { ApiError, withTimeout, type Api } from "../client/api";
import type { BrowserStorage, StoredQuestion } from "../client/browser-storage";
import type { Page } from "../client/page-lifecycle";
import type { Message } from "../types";
import type { DeliveryResult, OutgoingQuestion } from "./reducer";
import type { SessionManager } from "./session-manager";
import { isBusy, when, type ConversationStore } from "./store";

export interface OutboxDeps {
  api: Api;
  store: ConversationStore;
  storage: BrowserStorage;
  sessions: SessionManager;
  page: Page;
}

const TRIES = 6;
/** After so long without the service, in ms, the question counts as not sent: its text stays, with Retry. */
const TIMEOUT_MS = 30_000;

interface Sending {
  question: OutgoingQuestion;
  abort: AbortController;
  acknowledged: boolean;
}

export type Outbox = ReturnType<typeof createOutbox>;

export function createOutbox({ api, store, storage, sessions, page }: OutboxDeps) {
  let current: Sending | null = null,
    draining = false;

  store.subscribe((action) => {
    if (action.type === "history") acknowledge(action.messages);
    if (action.type === "event" && action.event.event === "message")
      acknowledge([action.event.message]);
    if (current && !store.state.outbox.includes(current.question)) current.abort.abort();
  });

  /** What the service has is not on its way any more, whatever becomes of the request. */
  function acknowledge(messages: readonly Message[]): void {
    if (current && messages.some((one) => one.client_id === current!.question.client_id)) {
      current.acknowledged = true;
      current.abort.abort();
    }
    unsent(messages);
  }

  /** The stored questions that are not among these messages of the service. */
  function unsent(messages: readonly Message[]): StoredQuestion[] {
    const stored = storage.unsent;
    const rest = stored.filter((one) => !messages.some((each) => each.client_id === one.client_id));
    if (rest.length < stored.length) storage.unsent = rest;
    return rest;
  }

  /** Keeps the question in this tab, or forgets it. `held`: refused, so that a reload does not send it again by itself. */
  function persist(
    { client_id, text, at, again }: OutgoingQuestion,
    keep: boolean,
    held?: true,
  ): void {
    const others = storage.unsent.filter((one) => one.client_id !== client_id);
    storage.unsent = keep && !again ? [...others, { client_id, text, at, held }] : others;
  }

  async function drain(): Promise<void> {
    if (draining) return;
    draining = true;
    for (
      let [question] = store.state.outbox;
      question && !store.state.disposed;
      [question] = store.state.outbox
    ) {
      store.dispatch({ type: "sending", clientId: (storage.lastClientId = question.client_id) });
      const mine = (current = { question, abort: new AbortController(), acknowledged: false });
      const result = await send(mine).catch((): DeliveryResult => ({
        status: "failed",
        notice: "notSent",
        seconds: 0,
      }));
      if (current === mine) current = null;
      if (store.state.disposed || store.state.outbox[0] !== question) continue;
      onDelivered(question, result);
      // The next question waits for this one's answer.
      if (result.status === "accepted" && store.state.outbox.length)
        await when(store, () => !isBusy(store.state));
    }
    draining = false;
  }

  function onDelivered(question: OutgoingQuestion, result: DeliveryResult): void {
    const failed = result.status === "failed",
      seconds = "seconds" in result && result.seconds;
    persist(question, failed, failed || undefined);
    store.dispatch({
      type: "delivered",
      question,
      result,
      until: seconds ? Date.now() + seconds * 1000 : 0,
    });
    if (result.status !== "accepted") return;
    const { stream } = result;
    if (stream) void (sessions.feed?.consumeAnswerStream(stream) ?? stream.body?.cancel());
    sessions.updateLastSeen();
  }

  async function send(mine: Sending): Promise<DeliveryResult> {
    const {
      question,
      abort: { signal },
    } = mine;
    const show = (delivery: "sending" | "queued") =>
      store.dispatch({ type: "delivery", question, delivery });
    let renewed = 0,
      since = Date.now();
    for (let tries = 1; !signal.aborted; tries++) {
      if (!page.online) {
        show("queued");
        await page.sleepUntilWake(60_000, signal);
        tries = 0;
        since = Date.now();
        continue;
      }
      if (tries === 1) show("sending");
      try {
        const session = await withTimeout(
          sessions.getOrCreate(),
          since + TIMEOUT_MS - Date.now(),
          signal,
        );
        return {
          status: "accepted",
          stream: await api.ask(session, question.text, question.client_id, signal),
        };
      } catch (cause) {
        if (signal.aborted) break;
        const error = asApiError(cause);
        if (error.isGone && renewed++ < 2) {
          sessions.onForbiddenOrGone(error);
          continue;
        }
        const result = classifyError(error, question, countTries(tries, since));
        if (result) return refused(error, result);
        show("queued");
        await page.sleepUntilWake(
          Math.max(error.retryAfter * 1000, 125 * 2 ** tries * (0.5 + Math.random() / 2)),
          signal,
        );
      }
    }
    return { status: mine.acknowledged ? "accepted" : "cancelled" };
  }

  /** What an error for good means for the session. */
  function refused(error: ApiError, result: DeliveryResult): DeliveryResult {
    if (error.code === "session_ended") store.dispatch({ type: "status", status: "ended" });
    if (error.isForbidden) sessions.onForbiddenOrGone(error);
    return result;
  }

  function add(question: OutgoingQuestion): void {
    if (!question.again) persist(question, true);
    store.dispatch({ type: "asked", question, online: page.online });
    void drain();
  }

  return {
    add,
    /** After a reload: what the service has not got is sent again, or waits for Retry. */
    restore(): void {
      for (const { held, ...question } of unsent(store.state.transcript.messages)) {
        if (held) store.dispatch({ type: "delivery", question, delivery: "failed" });
        else add(question);
      }
    },
    /** Takes back the question on its way; null where there is none. */
    cancel(): OutgoingQuestion | null {
      if (!current) return null;
      current.abort.abort();
      return current.question;
    },
    dispose(): void {
      current?.abort.abort();
    },
  };
}

/** The notices of the limits that have a sentence of their own. */
const WAITS: Partial<Record<string, string>> = {
  __proto__: null as never,
  session: "wait.session",
  address: "wait.address",
  create: "wait.address",
};

/** Past the time limit no try is left. */
const countTries = (tries: number, since: number): number =>
  Date.now() - since < TIMEOUT_MS ? tries : TRIES;

const asApiError = (cause: unknown): ApiError =>
  cause instanceof ApiError ? cause : new ApiError("network", 0, String(cause), true);

const returned = (notice: string): DeliveryResult => ({ status: "returned", notice, seconds: 0 });
const failed = (notice: string, seconds = 0): DeliveryResult => ({
  status: "failed",
  notice,
  seconds,
});

/** What an error means for the question; null: the same request again may work soon. */
function classifyError(
  error: ApiError,
  question: OutgoingQuestion,
  tries: number,
): DeliveryResult | null {
  const seconds = error.retryAfter;
  switch (error.code) {
    case "rate_limited":
      return failed(WAITS[error.limit] ?? "wait", seconds || 30);
    case "origin_not_allowed":
      return returned("origin");
    case "turn_in_progress":
      return returned("busy");
    case "session_ended":
      return returned("ended");
    case "session_full":
      return returned("full");
    case "payload_too_large":
    case "http_413":
      return returned("tooLong");
    case "not_owner":
    case "bad_token":
      return returned("signIn");
    case "invalid_request":
      return returned(question.text.length > 500 ? "tooLong" : "refused");
    // A page of a proxy: it would answer the same again.
    case "http_400":
    case "http_403":
      return failed("notSent");
    case "engine_failed":
    case "engine_timeout":
      return { status: "unanswered", code: error.retryable ? error.code : "refused" };
    case "engine_busy":
      return tries < 3 && seconds <= 5 ? null : failed("engineBusy", seconds || 10);
    default:
      return classifyOther(error, tries);
  }
}

function classifyOther(error: ApiError, tries: number): DeliveryResult | null {
  if (!error.retryable) return error.isNetwork ? failed("notSent") : returned("notAccepted");
  if (tries < TRIES && error.retryAfter <= 15) return null;
  return failed(error.code === "storage_unavailable" ? "unreachable" : "notSent");
}
