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

/** The sentences for a 429: which limit was reached, and until when. Minutes and the time of day from ninety seconds on. */
export function waitText(seconds: number, words: Language, limit = "wait"): string {
  const time = words.time(new Date(Date.now() + seconds * 1000).toISOString());
  const until =
    seconds < 90
      ? words.t("wait.seconds", { n: Math.max(1, Math.ceil(seconds)) })
      : words.t("wait.minutes", { n: Math.ceil(seconds / 60), time });
  return `${words.t(`notice.${limit}`)} ${until}`;
}

/** The lines in the order in which they are shown; at most one offers a new chat. */
export function statusLines(state: State, words: Language): Line[] {
  const { status, notice, connection } = state;
  const lines: Line[] = [];
  const add = (key: string, tone: Line["tone"], more: Partial<Line> = {}): void => {
    if (!lines.some((line) => line.key === key))
      lines.push({ key, tone, text: words.t(`notice.${key}`), ...more });
  };
  if (state.openedBySharedLink && status !== "ended")
    add("elsewhere", "warning", { text: words.t("elsewhere"), offerNewChat: true });
  if (status === "ended" || (status === "gone" && !notice))
    add(status, "info", { offerNewChat: true });
  for (const { key, tone, ...more } of noticeLines(state, words)) add(key, tone, more);
  if (connection !== "online" && !notice) add(connection, "warning");
  // Carried on and begun elsewhere are one piece of news.
  if (lines[0]?.key === "elsewhere" && RESUME_NOTICES.has(lines[1]?.key ?? ""))
    lines[0].lead = lines.splice(1, 1)[0]!.text;
  const first = lines.findIndex((line) => line.offerNewChat);
  return lines.map((line, i) => ({ ...line, offerNewChat: i === first }));
}

/** What the state's notice says: the wait for a limit, and any other. */
function noticeLines({ notice, wait, openedByOneTimeLink }: State, words: Language): Line[] {
  const lines: Line[] = [];
  const limit = notice && /^wait/.test(notice.key) ? notice.key : "";
  const seconds = Number(wait || notice?.params?.["seconds"] || 0);
  if (seconds > 0 && notice?.key !== "engineBusy")
    lines.push({
      key: "wait",
      tone: "warning",
      text: waitText(seconds, words, limit || "wait"),
      counting: true,
    });
  if (notice && !limit) {
    const n = Math.max(1, seconds);
    lines.push({
      key: notice.key,
      tone: notice.tone,
      text: words.t(`notice.${notice.key}`, { ...notice.params, n }),
      counting: n > 1,
      offerNewChat: OFFERS_NEW_CHAT.has(notice.key),
      notYoursOffer: !__WIDGET__ && !!openedByOneTimeLink && RESUME_NOTICES.has(notice.key),
    });
  }
  return lines;
}
