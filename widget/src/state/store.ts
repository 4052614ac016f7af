/** The one changing record of a conversation in this page, and the state that the view gets of it. */
import type { Live } from "./live-feed";
import type { StoredSession } from "../client/browser-storage";
import { EMPTY, isLocal, type Transcript } from "./reducer";
import type { Message, Notice, State, Status } from "../types";

export interface Desk {
  session: string | null;
  /** Grows with every session taken up or dropped, so that a late answer to an old call is known as one. */
  era: number;
  saved: StoredSession | null;
  /** The session-key of the tag, while it is in use. */
  key: string | null;
  live: Live | null;
  /** A short name of the signed-in user; empty where nobody is. */
  user: string;
  /** Takes up the conversation of the signed-in user; `found` is what the browser remembers. */
  signed: ((found: StoredSession | null) => Promise<void>) | null;
  /** Another tab is claiming the session: its new id is on the way here. */
  moved: boolean;
  /** A question waits for this before it goes out. */
  ready: Promise<unknown> | null;
  status: Status;
  transcript: Transcript;
  /** What was said in a session that is over, still readable above the new one. */
  past: readonly Message[];
  hasOlder: boolean;
  loading: boolean;
  fromElsewhere: boolean;
  handedOver: boolean;
  /** A question of this page is on its way or taken, and its answer has not begun. */
  waiting: boolean;
  /** The client id of this tab's last question, and the turn that answers it. */
  asked: string;
  mine: string;
  /** A question has stood for a while and nobody answers it. */
  unanswered: boolean;
  putBack: State["returnedDraft"];
  /** The feed has been away for longer than a moment. */
  feedDown: boolean;
  started: boolean;
  active: boolean;
  disposed: boolean;
}

export const newDesk = (key: string | null): Desk => ({
  session: null, era: 0, saved: null, key, live: null, user: "", signed: null, moved: false, ready: null, status: "none", transcript: EMPTY, past: [], hasOlder: false, loading: false,
  fromElsewhere: false, handedOver: false, waiting: false, asked: "", mine: "", unanswered: false, putBack: null, feedDown: false, started: false, active: false, disposed: false,
});

/** No more can be said in this session. */
export const isOver = (desk: Desk) => desk.status === "ended" || desk.status === "gone";

/** The last message that the service has. */
export const lastStored = (desk: Desk) => desk.transcript.messages.findLast((one) => !isLocal(one));

export function compose(desk: Desk, notice: Notice | null, wait: number, online: boolean): State {
  const { turn, messages, failed } = desk.transcript;
  const last = lastStored(desk);
  const broken = failed !== null || desk.unanswered || (last?.role === "assistant" && last.metadata.interrupted === true);
  const alive = desk.status === "active" || desk.status === "abandoned";
  return {
    status: desk.status, loading: desk.loading, hasOlder: desk.hasOlder, openedBySharedLink: desk.fromElsewhere, openedByOneTimeLink: !__WIDGET__ && desk.handedOver, returnedDraft: desk.putBack,
    owned: Boolean(desk.saved?.user || (!__WIDGET__ && desk.saved?.token)), notice, wait, waiting: desk.waiting && !turn,
    messages: desk.past.length ? [...desk.past, ...messages] : messages,
    answering: turn && { turn_id: turn.turn_id, text: turn.text, mine: turn.turn_id === desk.mine },
    canRetry: alive && broken && !turn && !desk.waiting,
    connection: !online ? "offline" : desk.feedDown ? "reconnecting" : "online",
  };
}
