/** What one can do with the messages of a conversation: read older ones, download, erase, rate. Fetched with the messages. */
import { ApiError } from "../client/api";
import type { DeedParts } from "./actions";
import { isLocal, prepend, readMessage } from "./reducer";
import type { Conversation } from "../types";

export type MessageActions = Pick<Conversation, "loadOlder" | "transcript" | "erase" | "feedback">;
type Call = <T>(work: (session: string) => Promise<T>, notice: string | null) => Promise<T | null>;

export function createMessageActions({ api, desk, publish, fresh, onEvent, clear }: DeedParts, call: Call): MessageActions {
  return {
    async loadOlder() {
      const first = desk.transcript.messages.find((one) => !isLocal(one)), { era } = desk;
      if (!first || !desk.hasOlder) return;
      const found = await call((session) => api.history(session, first.id, 50), "unreachable");
      if (!found || era !== desk.era) return;
      desk.transcript = prepend(desk.transcript, found.messages.map(readMessage).filter((one) => one !== null));
      desk.hasOlder = Boolean(found.has_more);
      publish();
    },

    async transcript(format) {
      const found = await call((session) => api.transcript(session, format), "unreachable");
      if (!found) throw new ApiError("session_not_found", 404, "Nothing to keep yet");
      return found;
    },

    async erase() {
      const { live } = desk;
      // Deleting is for whoever began the conversation; a shared link is for reading along and writing.
      if (desk.fromElsewhere) return;
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
}
