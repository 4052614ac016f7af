/** What one can do with a conversation besides talking: end it, hand it over; the rest is in message-actions.ts. */
import { ApiError, type Api } from "../client/api";
import type { Desk } from "./store";
import type { Settings } from "../options";
import type { Loss, Sessions } from "./session-manager";
import type { MessageActions } from "./message-actions";
import type { ChatEvent } from "./reducer";
import { getChunk, loadChunk } from "../client/lazy-chunks";
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
  const { api, desk, sessions, page, options, tell, publish, become, start, clear } = parts;

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

  /** What there is to do with messages comes with them, in their chunk. */
  function later<K extends keyof MessageActions>(name: K): MessageActions[K] {
    return (async (...given: unknown[]) => {
      if (!(await loadChunk("messages"))) throw new ApiError("network", 0, "Not reached");
      const actions = getChunk<typeof import("../messages.chunk")>("messages")!.createMessageActions(parts, call);
      return (actions[name] as (...given: unknown[]) => unknown)(...given);
    }) as MessageActions[K];
  }

  const deeds: Deeds = {
    async end() {
      clear();
      const { live } = desk;
      try { if (await call((session) => api.end(session), "notEnded")) live?.tell("ended"); } catch { return; }
      if (desk.session) become("ended");
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

    loadOlder: later("loadOlder"), transcript: later("transcript"), erase: later("erase"), feedback: later("feedback"),
  };
  return { ...deeds, call };
}
