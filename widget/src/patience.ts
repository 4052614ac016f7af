/** What becomes of a question that stands without an answer: Retry is offered, or the history is asked for the answer. */
import { lastStored, type Desk } from "./desk.js";
import type { Notices } from "./notices.js";

/** Questions asked by this code carry ids of this form, so that one without an answer is known as such. */
const ID = /^q\.[a-z0-9]{20}$/;
/** A question that stands so long without an answer being begun may be asked again, in ms. */
const CALM = 3_000;

export interface PatienceParts { desk: Desk; notices: Notices; publish(): void; changed(): void; sync(): Promise<unknown> }

export function createPatience({ desk, notices, publish, changed, sync }: PatienceParts) {
  let calm: ReturnType<typeof setTimeout> | undefined, watchdog: ReturnType<typeof setTimeout> | undefined;

  /** Offers Retry where a question stands without an answer and none is being made. */
  function look(): void {
    clearTimeout(calm);
    desk.unanswered = false;
    const stands = () => {
      const last = lastStored(desk);
      return last?.role === "user" && ID.test(last.client_id ?? "") && !desk.transcript.turn && !desk.waiting && !desk.feedDown;
    };
    if (stands()) calm = setTimeout(() => { desk.unanswered = Boolean(stands()); publish(); }, CALM);
  }

  /** The feed may have missed the answer, or there is none: the history knows. */
  function watchFor(client_id: string, rounds = 0): void {
    clearTimeout(watchdog);
    watchdog = setTimeout(async () => {
      if (!desk.waiting || desk.asked !== client_id || desk.transcript.turn) return;
      await sync().catch(() => {});
      if (!desk.waiting || desk.asked !== client_id || desk.transcript.turn) return;
      if (rounds < 6) return watchFor(client_id, rounds + 1);
      desk.waiting = false;
      desk.transcript = { ...desk.transcript, failed: "engine_failed" };
      notices.say("answerFailed");
      changed();
    }, 5_000);
  }

  /** The question is answered. */
  const over = () => clearTimeout(watchdog);

  return { look, watchFor, over, stop() { clearTimeout(calm); over(); } };
}
