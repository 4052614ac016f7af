/** The store of a conversation: its state changes by dispatched actions alone; and what the view gets to see of it. */
import type { Notice, State } from "../types";
import {
  initialState,
  isLocal,
  isWithPeople,
  reduce,
  type Action,
  type ConversationState,
} from "./reducer";

export interface ConversationStore {
  readonly state: ConversationState;
  dispatch(action: Action): void;
  /** Calls back after every change, with the action that made it; returns how to stop that. */
  subscribe(listener: (action: Action) => void): () => void;
}

export function createStore(sessionKey: string | null): ConversationStore {
  let state = initialState(sessionKey);
  const listeners = new Set<(action: Action) => void>();
  return {
    get state() {
      return state;
    },
    dispatch(action) {
      const next = reduce(state, action);
      if (next === state) return;
      state = next;
      for (const listener of [...listeners]) listener(action);
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** Resolves as soon as the condition holds. */
export function when({ state, subscribe }: ConversationStore, holds: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    if (state.disposed || holds()) return resolve();
    const stop = subscribe(() => {
      if (holds()) {
        stop();
        resolve();
      }
    });
  });
}

/** Nothing more can be said in this session. */
export const isClosed = ({ status }: ConversationState) => status === "ended" || status === "gone";

/** A question waits for its answer, or an answer is being written. */
export const isBusy = ({ waiting, transcript }: ConversationState) =>
  waiting !== "" || transcript.turn !== null;

/** The last message that the service has. */
export const lastStored = ({ transcript }: ConversationState) =>
  transcript.messages.findLast((one) => !isLocal(one));

/** Seconds left of a wait that the service asked for. */
export const secondsLeft = ({ countdown }: ConversationState) =>
  countdown ? Math.max(0, Math.ceil((countdown.until - Date.now()) / 1000)) : 0;

/** Every other notice is an error. */
const INFO = ["restored", "ended", "gone", "erased", ...(__WIDGET__ ? [] : ["continued"])];
const WARNING = [
  ...(__WIDGET__ ? [] : ["deadLink"]),
  "offline",
  "reconnecting",
  "wait",
  "busy",
  "engineBusy",
  "full",
  "tooLong",
];

const toNotice = (key: string | null, params?: Notice["params"]): Notice | null =>
  key === null
    ? null
    : {
        key,
        params,
        tone: INFO.includes(key)
          ? "info"
          : WARNING.includes(key.split(".")[0]!)
            ? "warning"
            : "error",
      };

/** The last question got no answer, or not a whole one, and may be asked again. */
function isBroken(state: ConversationState): boolean {
  if ((state.status !== "active" && state.status !== "abandoned") || isWithPeople(state))
    return false;
  const last = lastStored(state),
    { failed } = state.transcript;
  if (failed || !last) return failed !== null && failed !== "refused";
  return (
    last.id === state.unanswered ||
    (last.role === "assistant" && last.metadata.interrupted === true)
  );
}

const isOwned = ({ saved }: ConversationState) =>
  Boolean(saved?.user || (!__WIDGET__ && saved?.token));

function currentNotice(
  { countdown, transientNotice, notice }: ConversationState,
  connection: State["connection"],
  wait: number,
): Notice | null {
  if (countdown && wait) return toNotice(countdown.key, { seconds: wait });
  return toNotice(transientNotice ?? (connection === "online" ? notice : connection));
}

export function toViewState(state: ConversationState, online: boolean): State {
  const {
    status,
    transcript: { turn, messages },
    archivedMessages,
  } = state;
  const connection = online ? (state.feedDown ? "reconnecting" : "online") : "offline";
  const wait = secondsLeft(state);
  return {
    status,
    connection,
    wait,
    loading: state.loading,
    hasOlder: state.hasOlder,
    openedBySharedLink: state.openedBySharedLink,
    openedByOneTimeLink: state.openedByOneTimeLink,
    returnedDraft: state.returnedDraft,
    handler: state.handler,
    typing: state.typing,
    owned: isOwned(state),
    notice: currentNotice(state, connection, wait),
    waiting: state.waiting !== "" && !turn,
    messages: archivedMessages.length ? [...archivedMessages, ...messages] : messages,
    answering: turn && {
      turn_id: turn.turn_id,
      text: turn.text,
      mine: turn.turn_id === state.myTurnId,
    },
    canRetry: isBroken(state) && !isBusy(state),
  };
}
