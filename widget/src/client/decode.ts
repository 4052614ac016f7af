/** Checks what comes from the service and from other tabs, and gives it the types that the reducer works with. */
import type { Citation, Message, Status } from "../types";

/** An event of the contract, checked. `at`: where in the answer a delta begins, in characters; set where a tab forwards it. */
export type ChatEvent =
  | { event: "message"; message: Message }
  | { event: "answer.start"; turn_id: string }
  | { event: "answer.delta"; turn_id: string; text: string; at?: number }
  | { event: "answer.end"; turn_id: string; message: Message }
  | { event: "answer.error"; turn_id: string; code: string; message?: Message }
  | { event: "session"; status: Status }
  | { event: "reset" }
  | { event: "ping" };

const isText = (value: unknown): value is string => typeof value === "string";
const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

export function decodeMessage(value: unknown): Message | null {
  if (
    !isRecord(value) ||
    !isText(value.id) ||
    !isText(value.content) ||
    value.id.startsWith("local:")
  )
    return null;
  if (value.role !== "user" && value.role !== "assistant" && value.role !== "system") return null;
  return {
    id: value.id,
    role: value.role,
    content: value.content,
    metadata: isRecord(value.metadata) ? value.metadata : {},
    created_at: isText(value.created_at) ? value.created_at : "",
    ...(isText(value.client_id) ? { client_id: value.client_id } : {}),
  };
}

/** The event, or null where the data does not have its shape. Unknown kinds belong to later versions and are ignored. */
export function decodeEvent(kind: string, data: unknown): ChatEvent | null {
  if (kind === "reset" || kind === "ping") return { event: kind };
  if (!isRecord(data)) return null;
  if (kind === "message") {
    const message = decodeMessage(data);
    return message && { event: kind, message };
  }
  if (kind === "session")
    return isText(data.status) ? { event: kind, status: decodeStatus(data.status) } : null;
  const { turn_id } = data;
  if (!isText(turn_id)) return null;
  switch (kind) {
    case "answer.start":
      return { event: kind, turn_id };
    case "answer.delta":
      return isText(data.text)
        ? {
            event: kind,
            turn_id,
            text: data.text,
            ...(typeof data.at === "number" && data.at >= 0 ? { at: data.at } : {}),
          }
        : null;
    case "answer.end": {
      const message = decodeMessage(data.message);
      return message && { event: kind, turn_id, message: withCitations(message, data.citations) };
    }
    case "answer.error": {
      const message = decodeMessage(data.message) ?? undefined;
      return {
        event: kind,
        turn_id,
        code: isText(data.code) ? data.code : "engine_failed",
        message,
      };
    }
    default:
      return null;
  }
}

export function decodeStatus(value: unknown): Status {
  return value === "active" || value === "abandoned" || value === "ended" ? value : "gone";
}

function withCitations(message: Message, citations: unknown): Message {
  if (message.metadata.citations || !Array.isArray(citations)) return message;
  const found = citations.filter(
    (one): one is Citation => isRecord(one) && isText(one.title) && isText(one.url),
  );
  return found.length
    ? { ...message, metadata: { ...message.metadata, citations: found } }
    : message;
}
