/** Watches over a question that stands without an answer, so that nobody waits for ever and nobody is hurried. */
import { lastStored, type Desk } from "./store";
import type { createNotices } from "./notices";

export interface VigilParts {
  desk: Desk;
  notices: ReturnType<typeof createNotices>;
  /** Reads the history again. */
  sync(): Promise<unknown>;
  publish(): void;
  changed(): void;
}

/** Questions asked by this code carry ids of this form, so that one without an answer is known as such. */
const ID = /^q\.[a-z0-9]{20}$/;
/** A question that stands so long without an answer being begun may be asked again, in ms. */
const CALM = 3_000;
/** A question that another tab's answer stood in the way of waits so long for the feed to tell of that, in ms. */
const BUSY = 2_000;

export function createVigil({ desk, notices, sync, publish, changed }: VigilParts) {
  let calm: ReturnType<typeof setTimeout> | undefined, watchdog: ReturnType<typeof setTimeout> | undefined;

  /** The feed may have missed the answer, or there is none: the history knows. */
  function watchFor(client_id: string, rounds = 0): void {
    const over = () => !desk.waiting || desk.asked !== client_id || desk.transcript.turn;
    clearTimeout(watchdog);
    watchdog = setTimeout(async () => {
      if (over()) return;
      await sync().catch(() => {});
      if (over()) return;
      if (rounds < 6) return watchFor(client_id, rounds + 1);
      desk.waiting = false;
      desk.transcript = { ...desk.transcript, failed: "engine_failed" };
      notices.say("answerFailed");
      changed();
    }, 5_000);
  }

  return {
    watchFor,

    /** Another tab's answer is in the way of this question: it is not asked again before its end, or a moment has passed. */
    hold(client_id: string): void {
      desk.waiting = true;
      clearTimeout(watchdog);
      watchdog = setTimeout(() => { if (desk.asked === client_id) { desk.waiting = false; changed(); } }, BUSY);
    },

    /** Offers Retry where a question stands without an answer and none is being made. */
    look(): void {
      clearTimeout(calm);
      desk.unanswered = false;
      const stands = () => {
        const last = lastStored(desk);
        return last?.role === "user" && ID.test(last.client_id ?? "") && !desk.transcript.turn && !desk.waiting && !desk.feedDown;
      };
      if (stands()) calm = setTimeout(() => { desk.unanswered = Boolean(stands()); publish(); }, CALM);
    },

    answered(): void { clearTimeout(watchdog); },
    stop(): void { clearTimeout(calm); clearTimeout(watchdog); },
  };
}
