/** What the logic of the widget (conversation.ts) and its looks (elements) agree on. */

export interface Citation {
  title: string;
  url: string;
  snippet: string;
}

export interface Message {
  /** The service's id; for a message not yet acknowledged the local `local:<client_id>`. */
  id: string;
  /** `note`: what operators write for each other; only the desk has them. */
  role: "user" | "assistant" | "system" | "note";
  content: string;
  /** May hold: citations: Citation[], stopped, interrupted, finish_reason (length or content_filter), operator (a name), degraded (a sentence), feedback {rating, comment}. */
  metadata: Record<string, unknown>;
  created_at: string;
  client_id?: string;
  /** The name of the operator who wrote it. */
  author?: string;
  /** Local only: `sending` (not acknowledged yet), `queued` (offline, or not taken at the first try: Retry hurries), `failed` (not sent: Retry keeps the text). */
  delivery?: "sending" | "queued" | "failed";
}

/** The answer being made, if any. `mine` is false when another tab or device asked. */
export interface Answering {
  turn_id: string;
  text: string;
  mine: boolean;
}

export type Status = "none" | "active" | "abandoned" | "ended" | "gone";

/** Who answers: the assistant, a person, or nobody yet, while the visitor waits in the queue for a person. */
export interface Handler {
  kind: "bot" | "queue" | "human";
  /** The person's name; empty but for `human`. */
  name: string;
  /** The place in the queue, from 1; 0 where there is none. */
  position: number;
  /** Why it changed last: requested, taken, released, timeout, absent, left; `kept`: a message was left here. */
  reason: string;
}

/** One line for the status region; `key` is a key of the words (i18n), `params` fill it in. */
export interface Notice {
  key: string;
  params?: Record<string, string | number>;
  tone: "info" | "warning" | "error";
}

export interface State {
  status: Status;
  messages: readonly Message[];
  answering: Answering | null;
  /** A question of this page is on its way but answer.start is not here yet. */
  waiting: boolean;
  /** A turn failed or broke off, and asking again may help. */
  canRetry: boolean;
  notice: Notice | null;
  connection: "online" | "reconnecting" | "offline";
  /** Seconds left of a 429, counted down; 0 when none. */
  wait: number;
  hasOlder: boolean;
  /** It belongs to a signed-in user, so a link of it opens to nobody else. */
  owned?: boolean;
  loading: boolean;
  /** Null where no people answer. */
  handler?: Handler | null;
  /** The name of the operator who is typing; empty where none is. */
  typing?: string;
  /** Opened by a shared link: say that it was begun elsewhere and offer a new one. */
  openedBySharedLink: boolean;
  /** Opened by a link for once that this browser cannot vouch for: offer a new one, quietly, beside the notice. */
  openedByOneTimeLink?: boolean;
  /** Text that could not be sent and was put back for the composer, with a growing number so that it is taken once. */
  returnedDraft: {
    text: string;
    n: number;
    /** It is to be sent when the answer that is in its way is done. */ next?: boolean;
  } | null;
}

export interface Conversation {
  readonly state: State;
  /** Calls back after every change; returns how to stop that. */
  subscribe(changed: () => void): () => void;
  /** Restores what there is to restore; with a `session` (id or ticket) carries that on. */
  start(options?: { session?: string }): Promise<void>;
  send(text: string): Promise<void>;
  stop(): Promise<void>;
  retry(clientId?: string): Promise<void>;
  /** Final; the confirmation dialog belongs to the view. */
  end(): Promise<void>;
  /** New chat: forgets this conversation in this browser and starts with none. */
  startNew(): void;
  loadOlder(): Promise<void>;
  /** A link to the full page: `once` for opening it now, `share` to copy. */
  /** `withWords`: it is opened from here at once, so title and greeting go along. */
  link(kind: "once" | "share", withWords?: boolean): Promise<string>;
  /** The same, with the seconds for which it is good. */
  handoff(
    kind: "once" | "share",
    withWords?: boolean,
  ): Promise<{ url: string; expires_in: number }>;
  transcript(format: "md" | "txt" | "json"): Promise<Blob>;
  erase(): Promise<void>;
  feedback(messageId: string, rating: "up" | "down" | null, comment?: string): Promise<void>;
  /** What a visitor can ask of people; there once its chunk is. */
  readonly people?: import("./state/people").People;
  draft: string;
  /** The feed and heartbeat run only while somebody looks. */
  setActive(active: boolean): void;
  /** The site vouches for its visitor; `restart` begins anew with nothing of whoever was here before. */
  identify(given: string | (() => string | Promise<string>), restart: () => void): void;
  dispose(): void;
}

/** Options of the pasted tag, camelCase as in Baton.init. */
export interface Options {
  color?: string;
  position?: "bottom-right" | "bottom-left";
  title?: string;
  greeting?: string;
  suggestions?: string[];
  theme?: "auto" | "light" | "dark";
  lang?: string;
  /** A session id that the service issued, or a name of a conversation of its own. */
  sessionKey?: string;
  sessionScope?: "browser" | "tab" | "page";
  sessionExpiry?: number;
  /** `close`: the panel closes 2 s after the chat was ended. */
  onEnd?: "stay" | "close";
  heartbeatInterval?: number;
  autoRestore?: boolean;
  chatUrl?: string;
  apiUrl?: string;
  /** Set on the server alone: who answers, and the address of the logo. */
  assistantName?: string;
  /** People answer, too: whether somebody is there was so when the page asked. */
  people?: "away" | "online";
  logoUrl?: string;
  /** Distance from the corner in CSS pixels, e.g. to stay clear of a badge: "20" or "20,80" (x,y). */
  offset?: string;
}
