/** The conversation that is open at the desk. Pure: the messages by the same reducer as the visitor's. */
import type { ConversationEvent } from "../client/desk-decode";
import type { DeskHistory } from "../client/desk-api";
import type { Message, State, Status } from "../types";
import {
  EMPTY,
  isLocal,
  localId,
  mergeHistory,
  prependMessages,
  reduceTranscript,
  type Transcript,
} from "./reducer";
import type { Handler, Me, Person, Row } from "./desk-types";

export interface Opened {
  ref: string;
  /** As the service answered when it was opened; the list may not have it. */
  row: Row | null;
  transcript: Transcript;
  status: Status;
  handler: Handler;
  assigned_to: Person | null;
  hasOlder: boolean;
  loading: boolean;
  /** `gone`: it does not exist any more; `unreachable`: it could not be read, and may be asked for again. */
  failed: "" | "gone" | "unreachable";
  /** In ms since the epoch: until when the visitor counts as typing. */
  visitorTypesUntil: number;
  colleagueTyping: { name: string; until: number } | null;
  viewers: readonly Person[];
  /** Other conversations of the same verified user. */
  earlier: readonly Row[];
  replyDraft: string;
  noteDraft: string;
}

export type OpenedAction =
  | { type: "row"; row: Row }
  | { type: "history"; history: DeskHistory; known: ReadonlySet<string> }
  | { type: "older"; messages: readonly Message[]; hasMore: boolean }
  | { type: "failed"; failed: Opened["failed"] }
  | { type: "loading" }
  | { type: "event"; event: ConversationEvent; now: number }
  | { type: "sending"; text: string; client_id: string; me: Me; at: string }
  | { type: "resending" | "notSent"; client_id: string }
  | { type: "stored"; message: Message; client_id?: string }
  | { type: "earlier"; rows: readonly Row[] }
  | { type: "draft"; field: "replyDraft" | "noteDraft"; text: string };

/** How long somebody counts as typing after the last word of it. */
export const TYPING_MS = 5_000;

export const openConversation = (ref: string, row: Row | null): Opened => ({
  ref,
  row,
  transcript: EMPTY,
  status: row?.status ?? "active",
  handler: row?.handler ?? "bot",
  assigned_to: row?.assigned_to ?? null,
  hasOlder: false,
  loading: true,
  failed: "",
  visitorTypesUntil: 0,
  colleagueTyping: null,
  viewers: [],
  earlier: [],
  replyDraft: "",
  noteDraft: "",
});

export function reduceOpened(state: Opened, action: OpenedAction): Opened {
  switch (action.type) {
    case "row":
      return withRow(state, action.row);
    case "history":
      return withHistory(state, action.history, action.known);
    case "older":
      return {
        ...state,
        transcript: prependMessages(state.transcript, action.messages),
        hasOlder: action.hasMore,
        loading: false,
      };
    case "failed":
      return { ...state, loading: false, failed: action.failed };
    case "loading":
      return { ...state, loading: true, failed: "" };
    case "event":
      return withEvent(state, action.event, action.now);
    case "sending":
      return withSending(state, action);
    case "resending":
    case "notSent":
      return withDelivery(
        state,
        action.client_id,
        action.type === "notSent" ? "failed" : "sending",
      );
    case "stored":
      return withMessage(
        action.client_id ? withoutLocal(state, action.client_id) : state,
        action.message,
      );
    case "earlier":
      return { ...state, earlier: action.rows };
    case "draft":
      return { ...state, [action.field]: action.text };
  }
}

function withRow(state: Opened, row: Row): Opened {
  const { status, handler, assigned_to } = row;
  return { ...state, row, status, handler, assigned_to };
}

function withHistory(state: Opened, history: DeskHistory, known: ReadonlySet<string>): Opened {
  const { status, handler, assigned_to, has_more } = history;
  const first = state.transcript.messages[0]?.id;
  const transcript = mergeHistory(state.transcript, history.messages, known);
  const hasOlder = first && transcript.messages[0]?.id === first ? state.hasOlder : has_more;
  return {
    ...state,
    transcript,
    hasOlder,
    status,
    handler,
    assigned_to,
    loading: false,
    failed: "",
  };
}

function withEvent(state: Opened, event: ConversationEvent, now: number): Opened {
  switch (event.event) {
    case "handler":
      return { ...state, handler: event.handler, assigned_to: event.assigned_to };
    case "session":
      return { ...state, status: event.status };
    case "viewers":
      return { ...state, viewers: event.operators };
    case "typing":
      return event.who === "visitor"
        ? { ...state, visitorTypesUntil: now + TYPING_MS }
        : { ...state, colleagueTyping: { name: event.name, until: now + TYPING_MS } };
    case "message":
      return withMessage(state, event.message);
    default: {
      const transcript = reduceTranscript(state.transcript, event);
      return transcript === state.transcript ? state : { ...state, transcript };
    }
  }
}

/** A stored message: over its local twin, and whoever wrote it types no more. */
function withMessage(state: Opened, message: Message): Opened {
  const clean = message.client_id ? withoutLocal(state, message.client_id) : state;
  const transcript = reduceTranscript(clean.transcript, { event: "message", message });
  return {
    ...clean,
    transcript,
    visitorTypesUntil: message.role === "user" ? 0 : clean.visitorTypesUntil,
    colleagueTyping:
      clean.colleagueTyping && message.author === clean.colleagueTyping.name
        ? null
        : clean.colleagueTyping,
  };
}

function withSending(
  state: Opened,
  { text, client_id, me, at }: Extract<OpenedAction, { type: "sending" }>,
): Opened {
  const message: Message = {
    id: localId(client_id),
    role: "assistant",
    author: me.name,
    content: text,
    metadata: {},
    created_at: at,
    client_id,
    delivery: "sending",
  };
  return withMessages(state, [...state.transcript.messages, message]);
}

const withMessages = (state: Opened, messages: readonly Message[]): Opened => ({
  ...state,
  transcript: { ...state.transcript, messages },
});

function withDelivery(state: Opened, client_id: string, delivery: Message["delivery"]): Opened {
  const { messages } = state.transcript;
  return withMessages(
    state,
    messages.map((one) => (one.id === localId(client_id) ? { ...one, delivery } : one)),
  );
}

function withoutLocal(state: Opened, client_id: string): Opened {
  const { messages } = state.transcript;
  const others = messages.filter((one) => one.id !== localId(client_id));
  return others.length === messages.length ? state : withMessages(state, others);
}

/** The ids that are known: what comes later than the history that was asked for is not among them. */
export const knownIds = ({ transcript }: Opened): ReadonlySet<string> =>
  new Set(transcript.messages.flatMap((one) => (isLocal(one) ? [] : [one.id])));

/** What the list of messages shows of it. */
export function toListState(opened: Opened): State {
  const { turn, messages } = opened.transcript;
  return {
    status: opened.status,
    messages,
    answering: turn && { turn_id: turn.turn_id, text: turn.text, mine: false },
    waiting: false,
    canRetry: false,
    notice: null,
    connection: "online",
    wait: 0,
    hasOlder: opened.hasOlder,
    loading: opened.loading,
    openedBySharedLink: false,
    returnedDraft: null,
  };
}

/** What the visitor thought of the answers: the last rating, with its comment. */
export function lastRating({ transcript }: Opened): { rating: string; comment: string } | null {
  const rated = transcript.messages.findLast(
    (one) => (one.metadata.feedback as { rating?: unknown } | undefined)?.rating,
  );
  if (!rated) return null;
  const { rating, comment } = rated.metadata.feedback as { rating: string; comment?: unknown };
  return { rating, comment: typeof comment === "string" ? comment : "" };
}
