/** What one can do with a conversation besides talking: end it, hand it over, keep it, erase it, rate it. */
import { ApiError, type Api } from "../client/api";
import type { Desk } from "./store";
import type { Settings } from "../options";
import type { Loss, Sessions } from "./session-manager";
import { isLocal, prepend, readMessage, type ChatEvent } from "./reducer";
import type { Conversation, Status } from "../types";
import type { Page } from "../client/page-lifecycle";

export interface DeedParts {
  api: Api;
  desk: Desk;
  sessions: Sessions;
  page: Page;
  options: Settings;
  tell(notice: string, seconds: number): void;
  publish(): void;
  become(status: Status): void;
  start(): Promise<void>;
  fresh(notice: Loss | null): void;
  onEvent(event: ChatEvent): void;
  /** Takes back whatever was still to be sent. */
  clear(): void;
}

const LOOKS = ["color", "theme", "lang"] as const;

type Deeds = Pick<Conversation, "end" | "loadOlder" | "link" | "transcript" | "erase" | "feedback">;

export function createDeeds(parts: DeedParts) {
  const { api, desk, sessions, page, options, tell, publish, become, start, fresh, onEvent, clear } = parts;

  /** Calls the service; where that fails for good, the notice says so, unless the view does. Null without a session. */
  async function call<T>(work: (session: string) => Promise<T>, notice: string | null, tries = 3): Promise<T | null> {
    const { session, era } = desk;
    if (!session) return null;
    for (let n = 1; ; n++) {
      try { return await work(session); } catch (cause) {
        const error = cause as ApiError;
        if (era === desk.era) {
          if (error.isGone || error.isForbidden) sessions.refused(error);
          else if (error.code === "session_ended") become("ended");
          else if (error.retryable && n < tries && error.retryAfter <= 5) {
            await page.sleepUntilWake(Math.max(error.retryAfter * 1000, 300 * 2 ** n));
            continue;
          } else if (notice) { tell(notice, 0); publish(); }
        }
        throw error;
      }
    }
  }

  const deeds: Deeds = {
    async end() {
      clear();
      const { live } = desk;
      try { if (await call((session) => api.end(session), "notEnded")) live?.tell("ended"); } catch { return; }
      if (desk.session) become("ended");
    },

    async loadOlder() {
      const first = desk.transcript.messages.find((one) => !isLocal(one)), { era } = desk;
      if (!first || !desk.hasOlder) return;
      const found = await call((session) => api.history(session, first.id, 50), "unreachable");
      if (!found || era !== desk.era) return;
      desk.transcript = prepend(desk.transcript, found.messages.map(readMessage).filter((one) => one !== null));
      desk.hasOlder = Boolean(found.has_more);
      publish();
    },

    async link(kind) {
      await start();
      try {
        if (!desk.session) await sessions.ensure();
      } catch (error) { tell("unreachable", 0); publish(); throw error; }
      const found = await call((session) => api.handoff(session, kind), "unreachable");
      if (!found) throw new ApiError("network", 0, "Not reached");
      const url = new URL(options.chatUrl ?? found.url), { searchParams } = url;
      searchParams.set("session", found.ticket);
      // The looks go along, where the address of the page has none of its own.
      if (!options.chatUrl) for (const name of LOOKS) if (options[name] && !searchParams.has(name)) searchParams.set(name, options[name]);
      return url.href;
    },

    async transcript(format) {
      const found = await call((session) => api.transcript(session, format), "unreachable");
      if (!found) throw new ApiError("session_not_found", 404, "Nothing to keep yet");
      return found;
    },

    async erase() {
      const { live } = desk;
      clear();
      try {
        await call((session) => api.erase(session).catch((error: ApiError) => { if (!error.isGone) throw error; }), "notErased");
      } catch { return; }
      live?.tell("erased");
      fresh("erased");
    },

    async feedback(messageId, rating, comment) {
      await call((session) => api.feedback(session, messageId, rating, comment), null);
      const feedback = rating ? { rating, ...(comment ? { comment } : {}) } : undefined;
      const message = desk.transcript.messages.find((one) => one.id === messageId);
      if (message) onEvent({ event: "message", message: { ...message, metadata: { ...message.metadata, feedback } } });
    },
  };
  return { ...deeds, call };
}
