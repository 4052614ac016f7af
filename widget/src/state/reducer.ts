/**
 * The state of a conversation and the one function that changes it. Pure: the same actions give the same state, and an
 * event of the log that is delivered twice changes nothing the second time.
 */
import type { StoredSession } from "../client/browser-storage";
import type { ChatEvent } from "../client/decode";
import type { Handler, Message, State, Status } from "../types";

export interface OutgoingQuestion {
  client_id: string;
  text: string;
  at: string;
  /** A stored question that is to be answered again. */
  again?: boolean;
}

/** How a question fared. `returned`: its text goes back to the composer; `failed`: it stays in the list, with Retry. */
export type DeliveryResult =
  /** `stream`: the answer's own stream. */
  | { status: "accepted"; stream?: Response }
  | { status: "unanswered"; code: string }
  | { status: "cancelled" }
  | { status: "failed" | "returned"; notice: string; seconds: number };

export type LossReason = "gone" | "erased" | "signIn";

export interface ConversationState {
  session: string | null;
  /** Grows with every session taken up or dropped, so that a late response to an earlier call is recognised. */
  generation: number;
  saved: StoredSession | null;
  /** The `session-key` option, while it is in use. */
  sessionKey: string | null;
  /** A fingerprint of the signed-in user; empty where nobody is signed in. */
  user: string;
  /** Another tab is claiming the session: its new id will arrive through the storage. */
  claimPending: boolean;
  status: Status;
  transcript: Transcript;
  /** Messages of sessions that are over, shown above those of the current one. */
  archivedMessages: readonly Message[];
  hasOlder: boolean;
  openedBySharedLink: boolean;
  openedByOneTimeLink: boolean;
  /** Questions on their way to the service; the first one is being sent. */
  outbox: readonly OutgoingQuestion[];
  /**
   * What the last question waits for, until its answer begins: to be taken by the service, for its answer to start,
   * or for another tab's answer to end.
   */
  waiting: "" | "sending" | "accepted" | "blocked";
  /** The client id of this tab's last question, and the turn that answers it. */
  lastClientId: string;
  myTurnId: string;
  /** The stored question that got no answer for a while. */
  unanswered: string;
  returnedDraft: State["returnedDraft"];
  /** Keys of notices: one stays until the next question, the other until the next attempt; a countdown hides both. */
  notice: string | null;
  transientNotice: string | null;
  countdown: { key: string; until: number } | null;
  /** The feed has been disconnected for longer than a moment. */
  feedDown: boolean;
  started: boolean;
  loading: boolean;
  active: boolean;
  disposed: boolean;
  /** Who answers; null where no people do, and until it is known. */
  handler: Handler | null;
  typing: string;
}

export type Action =
  | {
      type: "started" | "loading" | "active" | "disposed" | "feedDown" | "claimPending";
      value: boolean;
    }
  /** `unanswered`: the id of the question. */
  | { type: "user" | "unanswered" | "typing"; value: string }
  | { type: "claiming" | "claimed" | "cleared" | "archived" | "switched" | "outboxCleared" }
  | { type: "noAnswer" | "unblocked" | "countdownOver" }
  | { type: "event"; event: ChatEvent }
  /** A page of the history: the newest. `known` holds the ids that were known when it was requested. */
  | {
      type: "history";
      messages: readonly Message[];
      status: Status;
      hasMore: boolean;
      known: ReadonlySet<string> | null;
      handler: Handler | null;
    }
  | { type: "older"; messages: readonly Message[]; hasMore: boolean }
  | { type: "status"; status: Status }
  | { type: "adopted"; id: string; saved: StoredSession }
  | { type: "resumed"; lastClientId: string; notice: string | null }
  | { type: "denied"; notice: string | null }
  | { type: "reset"; notice: string | null }
  | { type: "lost"; reason: LossReason }
  | { type: "notice"; key: string }
  | { type: "asked"; question: OutgoingQuestion; online: boolean }
  | { type: "draftReturned"; text: string }
  | { type: "delivery"; question: OutgoingQuestion; delivery: Message["delivery"] }
  | { type: "sending"; clientId: string }
  /** How a question fared; `until`: the end of a wait that the service asked for, in ms since the epoch. */
  | { type: "delivered"; question: OutgoingQuestion; result: DeliveryResult; until: number };

export interface Turn {
  turn_id: string;
  text: string;
  /** Where the next delta begins. */
  at: number;
}

export interface Transcript {
  /** In the service's order; local ones, not acknowledged yet, come last. */
  messages: readonly Message[];
  turn: Turn | null;
  /** Turns that are over: events of theirs that arrive again change nothing. */
  finishedTurns: readonly string[];
  /** The code of the last turn's failure, until another begins; `refused` where asking again does not help. */
  failed: string | null;
}

export const EMPTY: Transcript = { messages: [], turn: null, finishedTurns: [], failed: null };

export const isLocal = (message: Message) => message.id.startsWith("local:");

/** A person has the conversation, or is to have it: no assistant answers. */
export const isWithPeople = ({
  handler,
  status,
}: {
  handler?: Handler | null;
  status: Status;
}): boolean => /queue|human/.test(handler?.kind ?? "") && status !== "ended" && status !== "gone";

export const localId = (client_id: string) => `local:${client_id}`;

export const initialState = (sessionKey: string | null): ConversationState => ({
  session: null,
  generation: 0,
  saved: null,
  sessionKey,
  user: "",
  claimPending: false,
  status: "none",
  transcript: EMPTY,
  archivedMessages: [],
  hasOlder: false,
  openedBySharedLink: false,
  openedByOneTimeLink: false,
  outbox: [],
  waiting: "",
  lastClientId: "",
  myTurnId: "",
  unanswered: "",
  returnedDraft: null,
  notice: null,
  transientNotice: null,
  countdown: null,
  feedDown: false,
  started: false,
  loading: false,
  active: false,
  disposed: false,
  handler: null,
  typing: "",
});

const NO_NOTICES = { notice: null, transientNotice: null, countdown: null };
const NO_SESSION = {
  session: null,
  handler: null,
  typing: "",
  saved: null,
  sessionKey: null,
  openedBySharedLink: false,
  openedByOneTimeLink: false,
  unanswered: "",
  hasOlder: false,
  feedDown: false,
};

/** The state after the action; the very same object where nothing changed. */
export function reduce(state: ConversationState, action: Action): ConversationState {
  const next = apply(state, action);
  // A person answers when they can: nothing is waited for.
  return next.waiting && isWithPeople(next) ? { ...next, waiting: "" } : next;
}

function apply(state: ConversationState, action: Action): ConversationState {
  switch (action.type) {
    case "started":
    case "loading":
    case "active":
    case "disposed":
    case "feedDown":
    case "claimPending":
    case "user":
    case "unanswered":
    case "typing":
      return { ...state, [action.type]: action.value };
    case "claiming":
      return { ...state, generation: state.generation + 1 };
    case "claimed":
      return state.status === "gone" ? { ...onlyUnsent(state), ...NO_NOTICES } : onlyUnsent(state);
    case "status":
      return withStatus(state, action.status);
    case "event":
      return withEvent(state, action.event);
    case "history":
      return withHistory(state, action);
    case "older":
      return {
        ...state,
        transcript: prependMessages(state.transcript, action.messages),
        hasOlder: action.hasMore,
      };
    case "adopted":
      return {
        ...state,
        session: action.id,
        generation: state.generation + 1,
        saved: action.saved,
        claimPending: false,
        handler: null,
        typing: "",
        status: "active",
        feedDown: false,
        sessionKey: state.sessionKey === action.id ? action.id : null,
        openedBySharedLink: Boolean(action.saved.elsewhere),
        openedByOneTimeLink: !__WIDGET__ && Boolean(action.saved.handed),
      };
    case "resumed":
      return { ...state, lastClientId: action.lastClientId, notice: action.notice ?? state.notice };
    case "denied":
      return { ...state, sessionKey: null, status: "none", feedDown: false, notice: action.notice };
    case "cleared":
      return { ...state, ...NO_SESSION, generation: state.generation + 1 };
    case "lost":
      return withoutSession(state, action.reason);
    case "archived":
      return {
        ...onlyUnsent(state),
        archivedMessages: [
          ...state.archivedMessages,
          ...state.transcript.messages.filter((one) => !isLocal(one)),
        ],
      };
    case "switched":
      return { ...onlyUnsent(state), ...NO_NOTICES, archivedMessages: [] };
    case "reset":
      return {
        ...state,
        ...NO_NOTICES,
        notice: action.notice,
        status: "none",
        transcript: EMPTY,
        archivedMessages: [],
        lastClientId: "",
        myTurnId: "",
        waiting: state.outbox.length ? state.waiting : "",
      };
    case "asked":
      return withQuestion(state, action.question, action.online);
    case "outboxCleared":
      return { ...state, outbox: [] };
    case "draftReturned":
      return withReturnedDraft(state, action.text);
    case "delivery":
      return withDelivery(state, action.question, action.delivery);
    case "sending":
      return { ...state, waiting: "sending", lastClientId: action.clientId };
    case "delivered":
      return withResult(state, action.question, action.result, action.until);
    case "noAnswer":
      return withFailure({ ...state, waiting: "" }, "engine_failed");
    case "unblocked":
      return { ...state, waiting: "" };
    case "notice":
      return withNotice(state, action.key);
    case "countdownOver":
      return { ...state, countdown: null };
  }
}

const onlyUnsent = (state: ConversationState) => ({
  ...state,
  transcript: { ...EMPTY, messages: state.transcript.messages.filter(isLocal) },
});

/** A closed session stays closed, unless it turns out to be gone. */
function withStatus(state: ConversationState, status: Status): ConversationState {
  if (status === state.status || (state.status === "ended" && status !== "gone")) return state;
  return status === "ended"
    ? { ...state, status, waiting: "", notice: status }
    : { ...state, status };
}

function withEvent(state: ConversationState, event: ChatEvent): ConversationState {
  if (event.event === "session") return withStatus(state, event.status);
  if (event.event === "typing") return { ...state, typing: event.name };
  if (event.event === "handler") return withHandler(state, event.handler);
  const transcript = reduceTranscript(state.transcript, event);
  if (transcript === state.transcript) return state;
  const next = { ...state, transcript };
  switch (event.event) {
    case "answer.start":
      return withAnswer(isMine(next) ? { ...next, myTurnId: event.turn_id } : next);
    case "answer.end":
      return withAnswer(next);
    case "answer.error":
      return withAnswer(transcript.failed ? withFailure(next, transcript.failed) : next);
    default:
      // What was being typed is here.
      return event.event === "message" && event.message.author ? { ...next, typing: "" } : next;
  }
}

/** A new position in the queue comes without the reason for being in it. */
function withHandler(state: ConversationState, handler: Handler): ConversationState {
  const { kind, reason } = state.handler ?? {};
  return {
    ...state,
    typing: "",
    handler: { ...handler, reason: handler.reason || (kind === handler.kind && reason) || "" },
  };
}

/** The answer that starts now is one to this tab's question. */
const isMine = ({ waiting, transcript, lastClientId }: ConversationState) =>
  waiting !== "" ||
  transcript.messages.findLast((one) => one.role === "user")?.client_id === lastClientId;

/** The last question waits no more. One that is still on its way is not the one that was answered. */
function withAnswer(state: ConversationState): ConversationState {
  return state.outbox.length && !state.transcript.turn ? state : { ...state, waiting: "" };
}

function withHistory(
  state: ConversationState,
  { messages, status, hasMore, known, handler }: Extract<Action, { type: "history" }>,
): ConversationState {
  const first = state.transcript.messages[0];
  const transcript = mergeHistory(state.transcript, messages, known);
  const hasOlder = !first || transcript.messages[0]?.id !== first.id ? hasMore : state.hasOlder;
  const question = messages.findLastIndex(
    (one) => state.lastClientId !== "" && one.client_id === state.lastClientId,
  );
  const answered =
    question >= 0 && messages.slice(question + 1).some((one) => one.role === "assistant");
  const next = { ...(handler ? withHandler(state, handler) : state), transcript, hasOlder };
  return withStatus(answered ? withAnswer(next) : next, status === "gone" ? state.status : status);
}

/** The session does not exist any more, or is not open to this browser; where it merely expired, its messages stay readable. */
function withoutSession(state: ConversationState, reason: LossReason): ConversationState {
  const expired = reason === "gone";
  return {
    ...state,
    ...NO_SESSION,
    generation: state.generation + 1,
    transcript: expired ? { ...state.transcript, turn: null, failed: null } : EMPTY,
    archivedMessages: expired ? state.archivedMessages : [],
    status: expired ? reason : "none",
    waiting: state.outbox.length ? state.waiting : "",
    notice: reason,
  };
}

/** `until`: the end of a countdown; 0 where there is none. */
function withNotice(state: ConversationState, key: string, until = 0): ConversationState {
  if (key === "ended") return { ...state, notice: key };
  if (until) return { ...state, countdown: { key, until }, transientNotice: null };
  return state.countdown ? state : { ...state, transientNotice: key };
}

const withFailed = (state: ConversationState, failed: string): ConversationState => ({
  ...state,
  transcript: { ...state.transcript, failed },
});

/** The answer could not be made. */
const withFailure = (state: ConversationState, code: string): ConversationState =>
  withNotice(withFailed(state, code), code === "refused" ? "cannotAnswer" : "answerFailed");

function withReturnedDraft(
  state: ConversationState,
  text: string,
  next?: boolean,
): ConversationState {
  return { ...state, returnedDraft: { text, n: (state.returnedDraft?.n ?? 0) + 1, next } };
}

function withDelivery(
  state: ConversationState,
  { client_id, text, at, again }: OutgoingQuestion,
  delivery: Message["delivery"],
): ConversationState {
  return again
    ? state
    : { ...state, transcript: upsertLocalMessage(state.transcript, client_id, text, delivery, at) };
}

function withQuestion(
  state: ConversationState,
  question: OutgoingQuestion,
  online: boolean,
): ConversationState {
  const { client_id, again } = question;
  if (state.outbox.some((one) => one.client_id === client_id)) return state;
  return withDelivery(
    {
      ...state,
      outbox: [...state.outbox, question],
      waiting: "sending",
      unanswered: "",
      notice: null,
      transientNotice: null,
      handler: state.handler?.kind === "bot" ? { ...state.handler, reason: "" } : state.handler,
      lastClientId: state.outbox.length ? state.lastClientId : client_id,
      transcript: again ? { ...state.transcript, failed: null } : state.transcript,
    },
    question,
    online ? "sending" : "queued",
  );
}

function withResult(
  before: ConversationState,
  question: OutgoingQuestion,
  result: DeliveryResult,
  until: number,
): ConversationState {
  const outbox = before.outbox.filter((one) => one !== question);
  const state: ConversationState = { ...before, outbox, waiting: outbox.length ? "sending" : "" };
  switch (result.status) {
    case "accepted":
      return withDelivery({ ...state, waiting: before.waiting && "accepted" }, question, undefined);
    case "unanswered":
      return withFailure(withDelivery(state, question, undefined), result.code);
    case "failed":
      return withNotice(
        question.again ? withFailed(state, "not_sent") : withDelivery(state, question, "failed"),
        result.notice,
        until,
      );
    case "returned":
      return withNotice(
        withTextBack(state, question, result.notice === "busy"),
        result.notice,
        until,
      );
    case "cancelled":
      return question.again ? state : withTextBack(state, question, false);
  }
}

/** The text goes back to the composer. `blocked`: another tab's answer is in its way, and it may be sent when that ends. */
function withTextBack(
  state: ConversationState,
  { client_id, text, again }: OutgoingQuestion,
  blocked: boolean,
): ConversationState {
  // A stored question that is not taken for another answer is not offered again.
  if (again) return blocked ? state : withFailed(state, "refused");
  const next = withReturnedDraft(
    { ...state, transcript: removeLocalMessage(state.transcript, client_id) },
    text,
    blocked,
  );
  return blocked ? { ...next, waiting: "blocked" } : next;
}

// --- the messages and the running answer ---

/** The transcript after the event; the very same object where nothing changed. */
export function reduceTranscript(before: Transcript, event: ChatEvent): Transcript {
  switch (event.event) {
    case "message":
      return { ...before, messages: upsertMessage(before.messages, event.message) };
    case "answer.start":
      return startTurn(before, event.turn_id);
    case "answer.delta":
      return appendDelta(before, event);
    case "answer.end": {
      const failed = before.finishedTurns.includes(event.turn_id) ? before.failed : null;
      return finishTurn(
        {
          ...before,
          messages: event.message ? upsertMessage(before.messages, event.message) : before.messages,
          failed,
        },
        event.turn_id,
      );
    }
    case "answer.error": {
      if (before.finishedTurns.includes(event.turn_id)) return before;
      const messages = event.message
        ? upsertMessage(before.messages, event.message)
        : before.messages;
      return finishTurn({ ...before, messages, failed: event.code }, event.turn_id);
    }
    default:
      return before;
  }
}

function startTurn(before: Transcript, turn_id: string): Transcript {
  if (before.finishedTurns.includes(turn_id)) return before;
  // Replayed from its first word: the text shown stays, and the deltas overwrite it.
  const text = before.turn?.turn_id === turn_id ? before.turn.text : "";
  return { ...before, failed: null, turn: { turn_id, text, at: 0 } };
}

function appendDelta(
  before: Transcript,
  { turn_id, text, at }: { turn_id: string; text: string; at?: number },
): Transcript {
  const { turn } = before;
  if (!turn || turn.turn_id !== turn_id) return before;
  const from = at ?? turn.at;
  // A gap: the missing words are asked for elsewhere; a hole must not be shown.
  if (from > turn.text.length) return before;
  const fresh = text.slice(turn.text.length - from);
  return { ...before, turn: { ...turn, text: turn.text + fresh, at: from + text.length } };
}

function finishTurn(before: Transcript, turn_id: string): Transcript {
  const turn = before.turn?.turn_id === turn_id ? null : before.turn;
  return {
    ...before,
    turn,
    finishedTurns: before.finishedTurns.includes(turn_id)
      ? before.finishedTurns
      : [...before.finishedTurns.slice(-50), turn_id],
  };
}

/** Puts a message of the service in its place: over itself, over its local twin, or before what is still on its way. */
function upsertMessage(messages: readonly Message[], message: Message): readonly Message[] {
  const index = messages.findLastIndex(
    (one) =>
      one.id === message.id ||
      (isLocal(one) &&
        message.role === "user" &&
        Boolean(one.client_id) &&
        one.client_id === message.client_id),
  );
  if (index >= 0) return messages.with(index, message);
  let position = messages.length;
  // An answer may arrive before its question does: a local question that the service has accepted stays before it.
  const later = (one: Message) =>
    isLocal(one) && (Boolean(one.delivery) || message.role === "user");
  while (position > 0 && later(messages[position - 1]!)) position--;
  return [...messages.slice(0, position), message, ...messages.slice(position)];
}

/** Own words, shown before the service has them; again with another delivery, they change in place. */
export function upsertLocalMessage(
  before: Transcript,
  client_id: string,
  content: string,
  delivery: Message["delivery"],
  created_at: string,
): Transcript {
  const index = before.messages.findIndex(
    (one) => one.client_id === client_id && one.role === "user",
  );
  if (index >= 0) {
    const stored = before.messages[index]!;
    if (!isLocal(stored)) return before;
    return { ...before, messages: before.messages.with(index, { ...stored, delivery }) };
  }
  const message: Message = {
    id: localId(client_id),
    role: "user",
    content,
    metadata: {},
    created_at,
    client_id,
    delivery,
  };
  return { ...before, messages: [...before.messages, message] };
}

export function removeLocalMessage(before: Transcript, client_id: string): Transcript {
  return { ...before, messages: before.messages.filter((one) => one.id !== localId(client_id)) };
}

/**
 * The history read again: the service's order holds; older pages already read and own unsent words stay, and so does
 * what the feed brought while the history was being read (`asked`: the ids known when it was asked for).
 */
export function mergeHistory(
  before: Transcript,
  page: readonly Message[],
  asked: ReadonlySet<string> | null = null,
): Transcript {
  const first = page[0];
  const joint = first ? before.messages.findIndex((one) => one.id === first.id) : -1;
  const older = joint > 0 ? before.messages.slice(0, joint).filter((one) => !isLocal(one)) : [];
  const known = new Set(
    page.flatMap((one) => (one.role === "user" && one.client_id ? [one.client_id] : [])),
  );
  const ids = new Set(page.map((one) => one.id));
  // In their present order: an answer may have arrived while its question is still a local one.
  const rest = before.messages.filter((one) =>
    isLocal(one) ? !known.has(one.client_id!) : asked && !asked.has(one.id) && !ids.has(one.id),
  );
  const messages = [...older, ...page, ...rest];
  // It must not begin again where it is delivered again.
  const over = endedInHistory(before.turn, page.at(-1), asked);
  const finishedTurns = over
    ? [...before.finishedTurns.slice(-50), before.turn!.turn_id]
    : before.finishedTurns;
  return { ...before, messages, turn: over ? null : before.turn, finishedTurns };
}

/** The answer that was being written is in the history: it ended while nobody here listened. */
const endedInHistory = (
  turn: Turn | null,
  last: Message | undefined,
  asked: ReadonlySet<string> | null,
) =>
  turn?.text &&
  last?.role === "assistant" &&
  !asked?.has(last.id) &&
  last.content.startsWith(turn.text);

/** An older page put in front. */
export function prependMessages(before: Transcript, page: readonly Message[]): Transcript {
  const known = new Set(before.messages.map((one) => one.id));
  return { ...before, messages: [...page.filter((one) => !known.has(one.id)), ...before.messages] };
}
