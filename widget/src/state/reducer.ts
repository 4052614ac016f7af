/** The fold: events of a conversation become messages and the answer being made. Pure, and the same under replay. */
import type { Citation, Message, Status } from "../types";

/** An event of the contract, checked. `at`: where in the answer a passed-on delta begins, in characters. */
export type ChatEvent =
  | { event: "message"; message: Message }
  | { event: "answer.start"; turn_id: string }
  | { event: "answer.delta"; turn_id: string; text: string; at?: number }
  | { event: "answer.end"; turn_id: string; message: Message }
  | { event: "answer.error"; turn_id: string; code: string; message?: Message }
  | { event: "session"; status: Status }
  | { event: "reset" } | { event: "ping" };

export interface Turn { turn_id: string; text: string; /** Where the next delta begins. */ at: number }

export interface Transcript {
  /** In the service's order; local ones, not acknowledged yet, come last. */
  messages: readonly Message[];
  turn: Turn | null;
  /** Turns that are over: what is told of them again changes nothing. */
  closed: readonly string[];
  /** The code of the last turn's failure, until another begins. */
  failed: string | null;
}

export const EMPTY: Transcript = { messages: [], turn: null, closed: [], failed: null };

export const isLocal = (message: Message) => message.id.startsWith("local:");
export const localId = (client_id: string) => `local:${client_id}`;

/** The transcript after the event; the very same object where nothing changed. */
export function fold(before: Transcript, event: ChatEvent): Transcript {
  switch (event.event) {
    case "message": return { ...before, messages: put(before.messages, event.message) };
    case "answer.start": return start(before, event.turn_id);
    case "answer.delta": return grow(before, event);
    case "answer.end": {
      const failed = before.closed.includes(event.turn_id) ? before.failed : null;
      return close({ ...before, messages: put(before.messages, event.message), failed }, event.turn_id);
    }
    case "answer.error": {
      if (before.closed.includes(event.turn_id)) return before;
      const messages = event.message ? put(before.messages, event.message) : before.messages;
      return close({ ...before, messages, failed: event.code }, event.turn_id);
    }
    default: return before;
  }
}

function start(before: Transcript, turn_id: string): Transcript {
  if (before.closed.includes(turn_id)) return before;
  // Told again from its first word: what is shown stays, and the deltas are laid over it.
  const text = before.turn?.turn_id === turn_id ? before.turn.text : "";
  return { ...before, failed: null, turn: { turn_id, text, at: 0 } };
}

function grow(before: Transcript, { turn_id, text, at }: { turn_id: string; text: string; at?: number }): Transcript {
  const { turn } = before;
  if (!turn || turn.turn_id !== turn_id) return before;
  const from = at ?? turn.at;
  // A gap: the missing words are asked for elsewhere; a hole must not be shown.
  if (from > turn.text.length) return before;
  const fresh = text.slice(turn.text.length - from);
  return { ...before, turn: { ...turn, text: turn.text + fresh, at: from + text.length } };
}

function close(before: Transcript, turn_id: string): Transcript {
  const turn = before.turn?.turn_id === turn_id ? null : before.turn;
  return { ...before, turn, closed: before.closed.includes(turn_id) ? before.closed : [...before.closed.slice(-50), turn_id] };
}

/** Puts a message of the service in its place: over itself, over its local twin, or before what is still on its way. */
function put(messages: readonly Message[], message: Message): readonly Message[] {
  const found = messages.findLastIndex((one) => one.id === message.id
    || (isLocal(one) && message.role === "user" && Boolean(one.client_id) && one.client_id === message.client_id));
  if (found >= 0) return messages.with(found, message);
  let place = messages.length;
  // An answer may be told before its question is told again: what was taken already stands before it.
  const later = (one: Message) => isLocal(one) && (Boolean(one.delivery) || message.role === "user");
  while (place > 0 && later(messages[place - 1]!)) place--;
  return [...messages.slice(0, place), message, ...messages.slice(place)];
}

/** Own words, shown before the service has them; again with another delivery, they change in place. */
export function say(before: Transcript, client_id: string, content: string, delivery: Message["delivery"], created_at: string): Transcript {
  const known = before.messages.findIndex((one) => one.client_id === client_id && one.role === "user");
  if (known >= 0) {
    const one = before.messages[known]!;
    if (!isLocal(one)) return before;
    return { ...before, messages: before.messages.with(known, { ...one, delivery }) };
  }
  const message: Message = { id: localId(client_id), role: "user", content, metadata: {}, created_at, client_id, delivery };
  return { ...before, messages: [...before.messages, message] };
}

export function unsay(before: Transcript, client_id: string): Transcript {
  return { ...before, messages: before.messages.filter((one) => one.id !== localId(client_id)) };
}

/**
 * The history read again: the service's order holds; older pages already read and own unsent words stay, and so does
 * what the feed brought while the history was being read (`asked`: the ids known when it was asked for).
 */
export function renew(before: Transcript, page: readonly Message[], asked: ReadonlySet<string> | null = null): Transcript {
  const first = page[0];
  const joint = first ? before.messages.findIndex((one) => one.id === first.id) : -1;
  const older = joint > 0 ? before.messages.slice(0, joint).filter((one) => !isLocal(one)) : [];
  const known = new Set(page.flatMap((one) => (one.role === "user" && one.client_id ? [one.client_id] : [])));
  const has = new Set(page.map((one) => one.id));
  // In the order in which they stand: an answer may have been told while its question is still a local one.
  const rest = before.messages.filter((one) => isLocal(one) ? !known.has(one.client_id!) : asked && !asked.has(one.id) && !has.has(one.id));
  const messages = [...older, ...page, ...rest];
  // The answer that was being made is in the history: it ended while nobody here listened.
  const last = page.at(-1);
  const over = before.turn?.text && last?.role === "assistant" && !asked?.has(last.id) && last.content.startsWith(before.turn.text);
  // Told again, it must not begin anew.
  const closed = over ? [...before.closed.slice(-50), before.turn!.turn_id] : before.closed;
  return { ...before, messages, turn: over ? null : before.turn, closed };
}

/** An older page put in front. */
export function prepend(before: Transcript, page: readonly Message[]): Transcript {
  const known = new Set(before.messages.map((one) => one.id));
  return { ...before, messages: [...page.filter((one) => !known.has(one.id)), ...before.messages] };
}

// --- what comes from outside is checked before it is folded ---

const isText = (value: unknown): value is string => typeof value === "string";
const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null && !Array.isArray(value);

export function readMessage(value: unknown): Message | null {
  if (!isRecord(value) || !isText(value.id) || !isText(value.content) || value.id.startsWith("local:")) return null;
  if (value.role !== "user" && value.role !== "assistant" && value.role !== "system") return null;
  return {
    id: value.id, role: value.role, content: value.content,
    metadata: isRecord(value.metadata) ? value.metadata : {},
    created_at: isText(value.created_at) ? value.created_at : "",
    ...(isText(value.client_id) ? { client_id: value.client_id } : {}),
  };
}

/** The event, or null for what has not its shape: unknown kinds are for later versions and pass by. */
export function readEvent(kind: string, data: unknown): ChatEvent | null {
  if (kind === "reset" || kind === "ping") return { event: kind };
  if (!isRecord(data)) return null;
  if (kind === "message") {
    const message = readMessage(data);
    return message && { event: kind, message };
  }
  if (kind === "session") return isText(data.status) ? { event: kind, status: readStatus(data.status) } : null;
  const { turn_id } = data;
  if (!isText(turn_id)) return null;
  switch (kind) {
    case "answer.start": return { event: kind, turn_id };
    case "answer.delta": return isText(data.text)
      ? { event: kind, turn_id, text: data.text, ...(typeof data.at === "number" && data.at >= 0 ? { at: data.at } : {}) } : null;
    case "answer.end": {
      const message = readMessage(data.message);
      return message && { event: kind, turn_id, message: cite(message, data.citations) };
    }
    case "answer.error": {
      const message = readMessage(data.message) ?? undefined;
      return { event: kind, turn_id, code: isText(data.code) ? data.code : "engine_failed", message };
    }
    default: return null;
  }
}


export function readStatus(value: unknown): Status {
  return value === "active" || value === "abandoned" || value === "ended" ? value : "gone";
}

function cite(message: Message, citations: unknown): Message {
  if (message.metadata.citations || !Array.isArray(citations)) return message;
  const found = citations.filter((one): one is Citation => isRecord(one) && isText(one.title) && isText(one.url));
  return found.length ? { ...message, metadata: { ...message.metadata, citations: found } } : message;
}
