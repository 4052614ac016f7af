/** The one line of the status region: what stays, what passes, and the countdown of a wait. */
import type { Notice } from "../types";

/** Everything else is an error. */
const INFO = ["restored", "ended", "gone", "erased", ...(__WIDGET__ ? [] : ["continued"])];
const WARNING = [...(__WIDGET__ ? [] : ["deadLink"]), "offline", "reconnecting", "wait", "busy", "engineBusy", "full", "tooLong"];

export type Notices = ReturnType<typeof createNotices>;

export function createNotices(changed: () => void) {
  let lasting: Notice | null = null, passing: Notice | null = null, link: Notice | null = null, until = 0;
  let timer: ReturnType<typeof setInterval> | undefined;

  const make = (key: string, params?: Notice["params"]): Notice => ({ key, params, tone: INFO.includes(key) ? "info" : WARNING.includes(key) ? "warning" : "error" });
  const left = () => Math.max(0, Math.ceil((until - Date.now()) / 1000));

  function tick(): void {
    const seconds = left();
    if (seconds) {
      if (passing?.params) passing = { ...passing, params: { seconds } };
    } else {
      clearInterval(timer);
      until = 0;
      passing = null;
    }
    changed();
  }

  return {
    get shown(): Notice | null { return passing ?? link ?? lasting; },
    /** Seconds left of a wait. */
    get wait(): number { return until ? left() : 0; },
    /** A line that stays until the next question. */
    keep(key: string | null): void { lasting = key === null ? null : make(key); },
    /** A line about what was just tried; it goes with the next try. */
    say(key: string): void { if (!left()) passing = make(key); },
    /** A line about the connection; it goes when that is well again. */
    connection(key: string | null): void { link = key === null ? null : make(key); },
    /** Counts down, second by second. */
    count(key: string, seconds: number): void {
      clearInterval(timer);
      until = Date.now() + seconds * 1000;
      passing = make(key, { seconds });
      timer = setInterval(tick, 1000);
    },
    /** The next question begins. */
    clear(): void { if (!left()) passing = null; lasting = null; },
    reset(): void { clearInterval(timer); until = 0; lasting = passing = null; },
    dispose(): void { clearInterval(timer); },
  };
}
