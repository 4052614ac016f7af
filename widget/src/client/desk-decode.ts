/** Checks what the desk's API returns, and gives it the types of the desk. */
import { decodeEvent, decodeMessage, decodeStatus, isRecord, type ChatEvent } from "./decode";
import type {
  Author,
  Colleague,
  Contact,
  Counts,
  Handler,
  LastMessage,
  Listing,
  Me,
  Person,
  Reply,
  Role,
  Row,
  Teammate,
  User,
} from "../state/desk-types";
import { COUNTS, MEDIANS, type Day, type Question } from "../state/desk-analytics";
import { VIEWS } from "../state/desk-types";
import type { Message } from "../types";

export type DeskEvent =
  | { event: "conversation"; row: Row }
  | { event: "removed"; ref: string }
  | { event: "counts"; counts: Counts }
  | { event: "operators"; operators: Colleague[] }
  | { event: "reset" }
  | { event: "ping" };

/** What the feed of one conversation has beside the events of every conversation. */
export type ConversationEvent =
  | Exclude<ChatEvent, { event: "handler" | "typing" }>
  | { event: "handler"; handler: Handler; assigned_to: Person | null }
  | { event: "typing"; who: "visitor" | "operator"; name: string }
  | { event: "viewers"; operators: Person[] };

type Fields = Record<string, unknown>;

const fields = (value: unknown): Fields => (isRecord(value) ? value : {});
const text = (value: unknown): string => (typeof value === "string" ? value : "");
const textOrNull = (value: unknown): string | null => text(value) || null;
const count = (value: unknown): number =>
  typeof value === "number" && value > 0 ? Math.floor(value) : 0;
const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);

export function decodeHandlerKind(value: unknown): Handler {
  return value === "queue" || value === "human" ? value : "bot";
}

export function decodePerson(value: unknown): Person | null {
  const { id, name } = fields(value);
  if (!text(name)) return null;
  return text(id) ? { id: text(id), name: text(name) } : { name: text(name) };
}

const people = (value: unknown): Person[] => list(value).flatMap((one) => decodePerson(one) ?? []);

function decodeAuthor(value: unknown): Author | undefined {
  const { type, name } = fields(value);
  return text(type) ? { type: text(type), name: text(name) } : undefined;
}

function named<T extends Contact>(value: unknown): T | null {
  const { id, name, email } = fields(value);
  const found: Fields = {};
  for (const [key, one] of Object.entries({ id, name, email })) if (text(one)) found[key] = one;
  return Object.keys(found).length ? (found as unknown as T) : null;
}

function decodeUser(value: unknown): User | null {
  const user = named<User>(value);
  return user?.id ? user : null;
}

function decodeLastMessage(value: unknown): LastMessage | null {
  if (!isRecord(value)) return null;
  const author = decodeAuthor(value.author);
  return {
    role: text(value.role),
    preview: text(value.preview),
    created_at: text(value.created_at),
    ...(author ? { author } : {}),
  };
}

export function decodeRow(value: unknown): Row | null {
  if (!isRecord(value) || !text(value.ref)) return null;
  return {
    ref: text(value.ref),
    handler: decodeHandlerKind(value.handler),
    assigned_to: decodePerson(value.assigned_to),
    status: decodeStatus(value.status),
    last_message: decodeLastMessage(value.last_message),
    waiting_since: textOrNull(value.waiting_since),
    created_at: text(value.created_at),
    last_seen_at: text(value.last_seen_at),
    unread: count(value.unread),
    metadata: fields(value.metadata),
    user: decodeUser(value.user),
    contact: named<Contact>(value.contact),
    reason: text(value.reason),
    rated_at: text(value.rated_at),
  };
}

function decodeCounts(value: unknown): Counts {
  const given = fields(value);
  return Object.fromEntries(VIEWS.map((view) => [view, count(given[view])])) as unknown as Counts;
}

export function decodeListing(value: unknown): Listing {
  const { conversations, counts, cursor } = fields(value);
  return {
    conversations: list(conversations).flatMap((one) => decodeRow(one) ?? []),
    counts: decodeCounts(counts),
    cursor: textOrNull(cursor),
  };
}

export function decodeMe(value: unknown): { me: Me; available: boolean } | null {
  const { operator, available } = fields(value);
  const { id, name, role } = fields(operator);
  if (!text(id)) return null;
  return {
    me: { id: text(id), name: text(name), role: text(role) as Role },
    available: available === true,
  };
}

function decodeOperators(value: unknown): Colleague[] {
  return list(value).flatMap((one) => {
    const { id, name, present, available } = fields(one);
    const found = { present: present === true, available: available === true };
    return text(id) ? [{ id: text(id), name: text(name), ...found }] : [];
  });
}

export function decodeTeam(value: unknown): Teammate[] {
  const roles = new Map(list(value).map((one) => [fields(one).id, fields(one).role]));
  return decodeOperators(value).map((one) => ({ ...one, role: roles.get(one.id) as Role }));
}

export function decodeReplies(value: unknown): Reply[] {
  return list(fields(value).replies).flatMap((one) => {
    const { shortcut, text: words } = fields(one);
    return text(shortcut) && text(words) ? [{ shortcut: text(shortcut), text: text(words) }] : [];
  });
}

export function decodeDays(value: unknown): Day[] {
  const number = (one: unknown) => (typeof one === "number" && one >= 0 ? one : null);
  return list(value).flatMap((one) => {
    const given = fields(one);
    const abandoned = fields(given.abandoned);
    const flat: Fields = { ...given };
    for (const handler of ["bot", "queue", "human"])
      flat[`abandoned_${handler}`] = abandoned[handler];
    const counts = COUNTS.map((name) => [name, count(flat[name])]);
    const medians = MEDIANS.map((name) => [name, number(flat[name])]);
    const day = { date: text(given.date), ...Object.fromEntries([...counts, ...medians]) } as Day;
    return day.date ? [day] : [];
  });
}

export function decodeQuestions(value: unknown): { kept: boolean; questions: Question[] } {
  const { kept, questions } = fields(value);
  return {
    kept: kept === true,
    questions: list(questions).flatMap((one) => {
      const { id, question, count: times, last_at } = fields(one);
      if (!text(id)) return [];
      return [
        { id: text(id), question: text(question), count: count(times), last_at: text(last_at) },
      ];
    }),
  };
}

/** A message as operators see it: notes are messages here, and each has its author. */
export function decodeDeskMessage(value: unknown): Message | null {
  if (!isRecord(value)) return null;
  const isNote = value.role === "note";
  const message = decodeMessage(isNote ? { ...value, role: "system" } : value);
  if (!message) return null;
  const author = decodePerson(value.author)?.name;
  return { ...message, ...(isNote ? { role: "note" } : {}), ...(author ? { author } : {}) };
}

export function decodeConversationEvent(kind: string, data: unknown): ConversationEvent | null {
  if (kind === "message") {
    const message = decodeDeskMessage(data);
    return message && { event: kind, message };
  }
  const { handler, assigned_to, who, name, operators } = fields(data);
  if (kind === "handler")
    return {
      event: kind,
      handler: decodeHandlerKind(handler),
      assigned_to: decodePerson(assigned_to),
    };
  if (kind === "typing")
    return { event: kind, who: who === "operator" ? who : "visitor", name: text(name) };
  if (kind === "viewers") return { event: kind, operators: people(operators) };
  return decodeEvent(kind, data) as ConversationEvent | null;
}

export function decodeDeskEvent(kind: string, data: unknown): DeskEvent | null {
  if (kind === "reset" || kind === "ping") return { event: kind };
  const given = fields(data);
  if (kind === "counts") return { event: kind, counts: decodeCounts(given) };
  if (kind === "operators") return { event: kind, operators: decodeOperators(given.operators) };
  return kind === "conversation" ? decodeRowEvent(given) : null;
}

/** A row that changed, or word of one that was deleted. */
function decodeRowEvent(data: Fields): DeskEvent | null {
  if (data.deleted === true)
    return text(data.ref) ? { event: "removed", ref: text(data.ref) } : null;
  const row = decodeRow(data);
  return row && { event: "conversation", row };
}
