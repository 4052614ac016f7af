/** How long a question may stand: without an answer being begun, and without one being told. */
import { lastStored, type Desk } from "./desk.js";

/** Questions asked by this code carry ids of this form, so that one without an answer is known as such. */
const ID = /^q\.[a-z0-9]{20}$/;
/** A question that stands so long without an answer being begun may be asked again, in ms. */
const CALM = 3_000;
const ROUND = 5_000, ROUNDS = 6;

export interface PatienceParts { desk: Desk; sync(): Promise<unknown>; publish(): void; /** Nobody answers. */ onLost(): void }

export function createPatience({ desk, sync, publish, onLost }: PatienceParts) {
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
    const over = () => !desk.waiting || desk.asked !== client_id || desk.transcript.turn;
    watchdog = setTimeout(async () => {
      if (over()) return;
      await sync().catch(() => {});
      if (over()) return;
      if (rounds < ROUNDS) return watchFor(client_id, rounds + 1);
      onLost();
    }, ROUND);
  }

  return { look, watchFor, answered: () => clearTimeout(watchdog), clear: () => { clearTimeout(calm); clearTimeout(watchdog); } };
}
