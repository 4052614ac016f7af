/** Keeps the open conversation up to date: its history, then its feed from there on. */
import { connectSse, type SseConnection } from "../client/sse-connection";
import type { Frame } from "../client/sse-parser";
import { decodeConversationEvent, type ConversationEvent } from "../client/desk-decode";
import type { DeskApi, DeskError, DeskHistory } from "../client/desk-api";

export interface ConversationFeedDeps {
  api: DeskApi;
  ref: string;
  /** Called before the history is asked for: what is known by then is no news. */
  onReading(): (history: DeskHistory) => void;
  onEvent(event: ConversationEvent): void;
  onError(error: DeskError): void;
}

export interface ConversationFeed {
  /** A tab that nobody looks at keeps no connection; the feed goes on from where it was. */
  setActive(active: boolean): void;
  wake(): void;
  stop(): void;
}

/** How soon a history that could not be read is asked for again. */
const RETRY_MS = 3_000;

export function startConversationFeed(deps: ConversationFeedDeps): ConversationFeed {
  const { api, ref } = deps;
  let cursor: string | null = null,
    stopped = false,
    active = true,
    reading = false,
    feed: SseConnection | null = null,
    retry: ReturnType<typeof setTimeout> | undefined;

  async function read(): Promise<void> {
    if (reading || stopped) return;
    reading = true;
    const done = deps.onReading();
    try {
      const history = await api.history(ref);
      if (stopped) return;
      cursor = history.cursor;
      done(history);
      if (feed) feed.reconnect();
      else connect();
    } catch (cause) {
      const error = cause as DeskError;
      if (stopped) return;
      deps.onError(error);
      if (!error.isGone) retry = setTimeout(() => void read(), RETRY_MS);
    } finally {
      reading = false;
    }
  }

  function connect(): void {
    if (feed || !active || stopped || cursor === null) return;
    feed = connectSse({
      connect: (after, signal) => api.conversationEvents(ref, after, signal),
      cursor: () => cursor ?? "",
      onFrame,
      onState: () => {},
      onRefused: (error) => deps.onError(error as DeskError),
    });
  }

  function disconnect(): void {
    feed?.stop();
    feed = null;
  }

  function onFrame({ event: kind, data, id }: Frame): void {
    if (reading || stopped) return;
    let event: ConversationEvent | null = null;
    try {
      event = decodeConversationEvent(kind, JSON.parse(data));
    } catch {
      /* a frame that is not JSON is none of ours */
    }
    // Events were missed: the history is read again, and the feed goes on from there.
    if (event?.event === "reset") return void read();
    if (id) cursor = id;
    if (event && event.event !== "ping") deps.onEvent(event);
  }

  void read();
  return {
    setActive(now) {
      active = now;
      if (now) connect();
      else disconnect();
    },
    wake: () => feed?.wake(),
    stop() {
      stopped = true;
      clearTimeout(retry);
      disconnect();
    },
  };
}
