/** What the status region says: from the state of the conversation and from what the visitor just did here. */
import type { Language } from "../locales/i18n";
import type { State } from "../types";

export interface Line {
  key: string;
  text: string;
  tone: "info" | "warning" | "error";
  /** A number in the text that counts down: shown, but not read out every second. */
  counting?: boolean;
  /** Offers "New chat" beside it. */
  offerNewChat?: boolean;
  /** A sentence before it, in the same notice. */
  lead?: string;
  /** The quieter question beside it: "Not yours?", and the offer of a new one. */
  notYoursOffer?: boolean;
}

const OFFERS_NEW_CHAT = new Set(["ended", "gone", "deadLink", "full", "notYours"]);
const RESUME_NOTICES = new Set(["continued", "restored"]);

/** The sentence for a 429: seconds, or minutes from ninety seconds on. */
export function waitText(seconds: number, words: Language): string {
  return seconds < 90
    ? words.t("wait.seconds", { n: Math.max(1, Math.ceil(seconds)) })
    : words.t("wait.minutes", { n: Math.ceil(seconds / 60) });
}

/** The lines in the order in which they are shown; at most one offers a new chat. */
export function statusLines(state: State, words: Language): Line[] {
  const found: Line[] = [];
  const add = (key: string, tone: Line["tone"], more: Partial<Line> = {}): void => {
    if (!found.some((line) => line.key === key))
      found.push({ key, tone, text: words.t(`notice.${key}`), ...more });
  };
  if (state.openedBySharedLink && state.status !== "ended")
    add("elsewhere", "warning", { text: words.t("elsewhere"), offerNewChat: true });
  if (state.status === "ended") add("ended", "info", { offerNewChat: true });
  if (state.status === "gone" && !state.notice) add("gone", "info", { offerNewChat: true });
  const { notice } = state;
  const wait = Number(state.wait || (notice?.key === "wait" && notice.params?.["seconds"]) || 0);
  if (wait > 0 && notice?.key !== "engineBusy")
    add("wait", "warning", { text: waitText(wait, words), counting: true });
  if (notice && notice.key !== "wait") {
    const n = Math.max(1, Number(notice.params?.["seconds"] ?? wait));
    const text = words.t(`notice.${notice.key}`, { ...notice.params, n });
    add(notice.key, notice.tone, {
      text,
      counting: n > 1,
      offerNewChat: OFFERS_NEW_CHAT.has(notice.key),
      notYoursOffer: !__WIDGET__ && !!state.openedByOneTimeLink && RESUME_NOTICES.has(notice.key),
    });
  }
  if (state.connection !== "online" && !state.notice) add(state.connection, "warning");
  // Carried on and begun elsewhere are one piece of news.
  if (found[0]?.key === "elsewhere" && RESUME_NOTICES.has(found[1]?.key ?? ""))
    found[0].lead = found.splice(1, 1)[0]!.text;
  const first = found.findIndex((line) => line.offerNewChat);
  return found.map((line, i) => ({ ...line, offerNewChat: i === first }));
}
