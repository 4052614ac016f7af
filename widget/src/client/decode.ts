/** Checks what comes from the service and from other tabs, and gives it the types that the reducer works with. */
import type { Citation, Handler, Message, Status } from "../types";

/** An event of the contract, checked. `at`: where in the answer a delta begins, in characters; set where a tab forwards it. */
export type ChatEvent =
  | { event: "message"; message: Message }
  | { event: "answer.start"; turn_id: string }
  | { event: "answer.delta"; turn_id: string; text: string; at?: number }
  /** Without a message where a person took over before the first word. */
  | { event: "answer.end"; turn_id: string; message?: Message }
  | { event: "answer.error"; turn_id: string; code: string; message?: Message }
  | { event: "session"; status: Status }
  | { event: "handler"; handler: Handler }
  | { event: "typing"; name: string }
  | { event: "reset" }
  | { event: "ping" };

const isText = (value: unknown): value is string => typeof value === "string";
export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const nameIn = (value: unknown) => (isRecord(value) && isText(value.name) ? value.name : "");

/** Who answers, from an event, the history or a resume; null where it is not there. */
export function decodeHandler(value: object): Handler | null {
  const { handler: kind, assigned_to, queue_position, reason } = value as Record<string, unknown>;
  if (kind !== "bot" && kind !== "queue" && kind !== "human") return null;
  return {
    kind,
    name: nameIn(assigned_to),
    position: Number(queue_position) || 0,
    reason: isText(reason) ? reason : "",
  };
}

const isRole = (value: unknown): value is "user" | "assistant" | "system" =>
  value === "user" || value === "assistant" || value === "system";

export function decodeMessage(value: unknown): Message | null {
  if (
    !isRecord(value) ||
    !isText(value.id) ||
    !isText(value.content) ||
    value.id.startsWith("local:")
  )
    return null;
  const { role } = value;
  if (!isRole(role)) return null;
  return {
    id: value.id,
    role,
    content: value.content,
    metadata: isRecord(value.metadata) ? value.metadata : {},
    created_at: isText(value.created_at) ? value.created_at : "",
    ...(isText(value.client_id) ? { client_id: value.client_id } : {}),
    ...(nameIn(value.author) ? { author: nameIn(value.author) } : {}),
  };
}

/** The event, or null where the data does not have its shape. Unknown kinds belong to later versions and are ignored. */
export function decodeEvent(kind: string, data: unknown): ChatEvent | null {
  if (kind === "reset" || kind === "ping") return { event: kind };
  if (!isRecord(data)) return null;
  switch (kind) {
    case "message": {
      const message = decodeMessage(data);
      return message && { event: kind, message };
    }
    case "session":
      return isText(data.status) ? { event: kind, status: decodeStatus(data.status) } : null;
    case "handler": {
      const handler = decodeHandler(data);
      return handler && { event: kind, handler };
    }
    case "typing":
      return data.who === "operator" ? { event: kind, name: nameIn(data) } : null;
    default:
      return isText(data.turn_id) ? decodeAnswerEvent(kind, data.turn_id, data) : null;
  }
}

function decodeAnswerEvent(
  kind: string,
  turn_id: string,
  data: Record<string, unknown>,
): ChatEvent | null {
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
      if (data.message && !message) return null;
      return {
        event: kind,
        turn_id,
        message: message ? withCitations(message, data.citations) : undefined,
      };
    }
    case "answer.error":
      return {
        event: kind,
        turn_id,
        code: decodeErrorCode(data),
        message: decodeMessage(data.message) ?? undefined,
      };
    default:
      return null;
  }
}

function decodeErrorCode(data: Record<string, unknown>): string {
  if (data.retryable === false) return "refused"; // asking again would fail in the same way, whatever the reason is
  return isText(data.code) ? data.code : "engine_failed";
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
