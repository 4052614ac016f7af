/** Questions on their way: one after another, each sent until the service has taken it, and never taken twice. */
import { ApiError, type Api } from "../client/api";

export interface Question { client_id: string; text: string; at: string; /** A stored question that is to be answered again. */ again?: boolean }

/** How a question fared. `back`: the text belongs in the composer again; `failed`: it stays in the log, with Retry. */
export type Fate = { fate: "taken"; /** Its own stream. */ stream?: Response } | { fate: "unanswered"; code: string } | { fate: "cancelled" }
  | { fate: "failed" | "back"; notice: string; seconds: number };

export interface OutboxParts {
  api: Api;
  /** A session to ask in, made where there is none. */
  session(): Promise<string>;
  /** The session turned out to be gone; the next `session()` makes another. */
  onGone(error: ApiError): void;
  onEnded(): void;
  online(): boolean;
  onDelivery(question: Question, delivery: "sending" | "queued"): void;
  /** Called once for each question; the next one waits for what this returns. */
  onFate(question: Question, fate: Fate): Promise<void> | void;
  random?: () => number;
}

const TRIES = 6;
/** After so long without the service, in ms, the visitor is told: the text stays, with Retry. */
const PATIENCE = 30_000;

export type Outbox = ReturnType<typeof createOutbox>;

export function createOutbox(parts: OutboxParts) {
  const queue: Question[] = [];
  let current: { question: Question; abort: AbortController; seen: boolean } | null = null;
  let running = false, wakeUp: (() => void) | null = null, over = false;
  const random = parts.random ?? Math.random;

  async function drain(): Promise<void> {
    if (running) return;
    running = true;
    while (queue.length && !over) {
      const question = queue[0]!;
      const mine = current = { question, abort: new AbortController(), seen: false };
      let fate: Fate;
      try { fate = await deliver(mine); } catch { fate = { fate: "failed", notice: "notSent", seconds: 0 }; }
      if (current === mine) current = null;
      if (over || queue[0] !== question) continue;
      queue.shift();
      await parts.onFate(question, fate);
    }
    running = false;
  }

  async function deliver(mine: NonNullable<typeof current>): Promise<Fate> {
    const { question, abort } = mine;
    let renewed = 0, since = Date.now();
    for (let tries = 1; ; tries++) {
      if (!parts.online()) {
        parts.onDelivery(question, "queued");
        await pause(60_000, abort.signal);
        tries = 0;
        since = Date.now();
        if (abort.signal.aborted) return mine.seen ? { fate: "taken" } : { fate: "cancelled" };
        continue;
      }
      if (tries === 1) parts.onDelivery(question, "sending");
      try {
        return { fate: "taken", stream: await parts.api.ask(await within(parts.session(), since + PATIENCE - Date.now(), abort.signal), question.text, question.client_id, abort.signal) };
      } catch (cause) {
        if (mine.seen) return { fate: "taken" };
        if (abort.signal.aborted) return { fate: "cancelled" };
        const error = cause instanceof ApiError ? cause : new ApiError("network", 0, String(cause), true);
        if (error.isGone && renewed++ < 2) { parts.onGone(error); continue; }
        const fate = judge(error, question, Date.now() - since < PATIENCE ? tries : TRIES);
        if (fate) { if (error.code === "session_ended") parts.onEnded(); if (error.isForbidden) parts.onGone(error); return fate; }
        parts.onDelivery(question, "queued");
        if (parts.online()) await pause(Math.max(error.retryAfter * 1000, 125 * 2 ** tries * (0.5 + random() / 2)), abort.signal);
      }
    }
  }

  /** What an error means for the question; null: the same call again may work soon. */
  function judge(error: ApiError, question: Question, tries: number): Fate | null {
    const seconds = error.retryAfter;
    switch (error.code) {
      case "rate_limited": return { fate: "failed", notice: "wait", seconds: seconds || 30 };
      case "turn_in_progress": return { fate: "back", notice: "busy", seconds: 0 };
      case "session_ended": return { fate: "back", notice: "ended", seconds: 0 };
      case "session_full": return { fate: "back", notice: "full", seconds: 0 };
      case "payload_too_large": case "http_413": return { fate: "back", notice: "tooLong", seconds: 0 };
      case "invalid_request": return { fate: "back", notice: question.text.length > 500 ? "tooLong" : "refused", seconds: 0 };
      case "not_owner": case "bad_token": return { fate: "back", notice: "signIn", seconds: 0 };
      // A proxy's own page: it would say the same again.
      case "http_400": case "http_403": return { fate: "failed", notice: "notSent", seconds: 0 };
      case "engine_failed": case "engine_timeout": return { fate: "unanswered", code: error.code };
      case "engine_busy": return tries < 3 && seconds <= 5 ? null : { fate: "failed", notice: "engineBusy", seconds: seconds || 10 };
    }
    if (!error.retryable) return { fate: "failed", notice: "notSent", seconds: 0 };
    return tries < TRIES && seconds <= 15 ? null : { fate: "failed", notice: error.code === "storage_unavailable" ? "unreachable" : "notSent", seconds: 0 };
  }

  function pause(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(done, ms);
      function done() { clearTimeout(timer); signal.removeEventListener("abort", done); wakeUp = null; resolve(); }
      signal.addEventListener("abort", done, { once: true });
      wakeUp = done;
    });
  }

  return {
    get waiting(): readonly Question[] { return queue; },
    add(question: Question): void {
      if (queue.some((one) => one.client_id === question.client_id)) return;
      queue.push(question);
      void drain();
    },
    /** The feed told this question: the service has it, whatever becomes of the call. */
    seen(client_id: string): void {
      if (current?.question.client_id !== client_id) return;
      current.seen = true;
      current.abort.abort();
    },
    /** Takes back the question on its way; its text, or null where none is. */
    cancel(): Question | null {
      if (!current) return null;
      current.abort.abort();
      return current.question;
    },
    /** The network is there again, or the visitor will not wait. */
    wake(): void { wakeUp?.(); },
    clear(): void { queue.length = 0; current?.abort.abort(); },
    dispose(): void { over = true; current?.abort.abort(); wakeUp?.(); },
  };
}

/** What `work` brings, if it does in time and nobody gives up waiting for it. */
function within<T>(work: Promise<T>, ms: number, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = () => reject(new ApiError("network", 0, "The service did not answer in time"));
    const timer = setTimeout(late, ms);
    signal.addEventListener("abort", late, { once: true });
    if (signal.aborted) late();
    work.then(resolve, reject).finally(() => { clearTimeout(timer); signal.removeEventListener("abort", late); });
  });
}
