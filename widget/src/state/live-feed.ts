/** One conversation, live in many tabs: one of them holds the feed and forwards its events, one sends the heartbeat. */
import type { Api, ApiError } from "../client/api";
import { createParser, readText, type Frame } from "../client/sse-parser";
import { connectSse, type SseConnection, type Timing } from "../client/sse-connection";
import { acquireRole, openChannel, hash53, type Platform } from "../client/tab-sync";
import { decodeEvent, type ChatEvent } from "../client/decode";
import type { Turn } from "./reducer";

export interface LiveFeedDeps {
  api: Api;
  session: string;
  platform: Platform;
  timing?: Partial<Timing>;
  /** Seconds between heartbeats. */
  heartbeat: number;
  turn(): Turn | null;
  onEvent(event: ChatEvent): void;
  /** Reads the history again and gives the new cursor; rejects where the service cannot be reached. */
  sync(): Promise<string>;
  onFeed(state: "open" | "trying"): void;
  onRefused(error: ApiError): void;
  onErased(): void;
  /** No answer will follow the question: it was stored for a person. */
  onHeld(): void;
  /** Another tab claims it: it gets another id at this moment. */
  onClaimPending(): void;
  onBeat(): void;
}

export interface LiveFeed {
  /** What this tab wants now: to hear, and to say that somebody is there. */
  setActive(feed: boolean, beat: boolean): void;
  /** Where to go on from, once the history was read. */
  setCursor(cursor: string): void;
  /** `moved`: it gets another id, which the tabs of this browser find in the storage. */
  broadcast(kind: "erased" | "moved" | "ended"): void;
  /** A question was taken, and this is its own stream. */
  consumeAnswerStream(response: Response): Promise<void>;
  wake(): void;
  stop(): void;
}

/** Feeds of different conversations that one browser keeps open at a time: it has six connections for all its tabs. */
const MAX_FEEDS_PER_BROWSER = 2;
/** How often a tab without a feed polls; a poll ends when nothing came for so long, and after so long at most. */
const POLL_MS = 3_000,
  QUIET_MS = 300,
  POLL_WINDOW_MS = 1_000;
/** How long a question's own stream may hold a connection where there is a feed. */
const ANSWER_STREAM_MS = 5_000;
/** A tab that gets nothing from the one that holds the feed for so long opens a feed of its own. */
const LEADER_TIMEOUT_MS = 25_000;

/** The event in a frame, and its data to pass on; null for what is none. */
function decodeFrame({
  event: kind,
  data: text,
}: Frame): { event: ChatEvent; data: Record<string, unknown> } | null {
  try {
    const data: unknown = JSON.parse(text),
      event = decodeEvent(kind, data);
    return event && { event, data: data as Record<string, unknown> };
  } catch {
    return null;
  }
}

/** The delta begins behind the text that this tab has: words before it are missing. */
const isTorn = (event: ChatEvent, turn: Turn | null): boolean =>
  event.event === "answer.delta" &&
  (turn?.turn_id !== event.turn_id || (event.at ?? 0) > turn.text.length);

const isEventId = (id: unknown): id is string =>
  typeof id === "string" && id !== "" && id.length <= 100;

export function createLiveFeed(deps: LiveFeedDeps): LiveFeed {
  const { api, session } = deps;
  // Without a channel between the tabs each needs a feed of its own, so there is nothing to lock.
  const locks = deps.platform.channel && deps.platform.locks;
  const name = hash53(api.base + session);
  const lockNames = (kind: string) =>
    Array.from({ length: MAX_FEEDS_PER_BROWSER }, (_, n) => `baton:${kind}:${n}:${api.base}`);
  const roles = {
    feed: `baton:feed:${name}`,
    beat: `baton:beat:${name}`,
    slots: lockNames("slot"),
    answers: lockNames("early"),
  };
  // `answerOffset`: how far into the running answer the cursor is, in characters.
  let cursor = "",
    lastEventId = "",
    answerOffset = 0,
    open = false,
    releaseAnswerStream: (() => void) | null = null,
    feed: SseConnection | null = null,
    isLeader = false,
    stopped = false,
    lastMessageAt = Date.now(),
    syncing = false,
    currentPoll: AbortController | null = null;
  let wanted = { feed: false, beat: false },
    placed = false;
  let leaveFeed: (() => void) | null = null,
    leaveBeat: (() => void) | null = null,
    watch: ReturnType<typeof setInterval> | undefined;

  const channel = openChannel(deps.platform, `baton:${name}`, (message) => {
    if (message.kind === "erased") return deps.onErased();
    if (message.kind === "moved") {
      stop();
      return deps.onClaimPending();
    }
    if (message.kind === "ask") return isLeader ? replayForOtherTab() : undefined;
    if (isLeader) return;
    lastMessageAt = Date.now();
    if (message.kind === "event") handleForwarded(message);
    // Events came after the history that this tab read, and before it received any.
    else if (message.id && message.id !== cursor && !deps.turn()) void sync();
  });

  /** An event that the feed's holder passed on. */
  function handleForwarded({ event: kind, data, id, after }: Record<string, unknown>): void {
    const event = decodeEvent(String(kind), data);
    if (!event) return;
    const torn = isTorn(event, deps.turn());
    // Not the next after what this tab received last: something may have been missed, and the history has it.
    const gap = isEventId(id) && (!after || after !== lastEventId);
    // This tab is out of sight: when it is visible again, its feed goes on from the old cursor.
    if (gap && !wanted.feed && event.event !== "session") return;
    deps.onEvent(event);
    if (torn) channel.post({ kind: "ask" });
    if (!isEventId(id)) return;
    lastEventId = cursor = id;
    moveOffset(event);
    if (gap) void sync();
  }

  function moveOffset(event: ChatEvent): void {
    if (event.event === "answer.start") answerOffset = 0;
    if (event.event === "answer.delta")
      answerOffset = (event.at ?? answerOffset) + event.text.length;
  }

  /** For a tab that has come: the answer so far, in the form of events; without one where the feed is. */
  function replayForOtherTab(): void {
    const turn = deps.turn();
    channel.post({ kind: "alive", id: turn ? "" : lastEventId });
    if (!turn) return;
    forward("answer.start", { turn_id: turn.turn_id });
    forward("answer.delta", { turn_id: turn.turn_id, text: turn.text, at: 0 });
  }

  const forward = (event: string, data: unknown, id = "", after = "") =>
    channel.post({ kind: "event", event, data, id, after });

  async function sync(): Promise<boolean> {
    if (syncing || stopped) return false;
    syncing = true;
    try {
      const end = await deps.sync();
      if (!stopped) cursor = end;
      return true;
    } catch {
      return false;
    } finally {
      syncing = false;
    }
  }

  /** Handles a frame of a feed or a poll, here and in the other tabs. False where the requested cursor is gone. */
  function handleFrame(frame: Frame): boolean {
    const decoded = decodeFrame(frame),
      after = lastEventId;
    if (decoded?.event.event === "reset") return false;
    if (frame.id) lastEventId = cursor = frame.id;
    if (!decoded) return true;
    const { event, data } = decoded;
    if (event.event === "ping") {
      channel.post({ kind: "alive" });
      return true;
    }
    if (event.event === "answer.delta") data.at = event.at = answerOffset;
    moveOffset(event);
    deps.onEvent(event);
    forward(frame.event, data, frame.id ?? "", after);
    return true;
  }

  /** Reads the feed for a moment, where it cannot be kept open; where not a byte comes, reads the history. */
  async function pollOnce(): Promise<void> {
    channel.post({ kind: "alive" });
    if (currentPoll || stopped) return;
    const mine = (currentPoll = new AbortController());
    let isWhole = false,
      until = 0,
      timer: ReturnType<typeof setTimeout> | undefined;
    const linger = (reader: ReadableStreamDefaultReader) => {
      until ||= Date.now() + POLL_WINDOW_MS;
      if (Date.now() > until) return;
      clearTimeout(timer);
      timer = setTimeout(() => {
        mine.abort();
        reader.cancel().catch(() => {});
      }, QUIET_MS);
    };
    timer = setTimeout(() => mine.abort(), 2 * POLL_WINDOW_MS);
    try {
      const reader = (await api.events(session, cursor, mine.signal)).body!.getReader();
      const parse = createParser((frame) => {
        isWhole &&= mine.signal.aborted || handleFrame(frame);
      });
      linger(reader);
      await readText(reader, (text) => {
        isWhole = true;
        linger(reader);
        parse(text);
        return isWhole;
      });
    } catch (cause) {
      const error = cause as ApiError;
      if (error.isDenied && !stopped) deps.onRefused(error);
    }
    clearTimeout(timer);
    const left = mine.signal.aborted && currentPoll !== mine;
    mine.abort();
    if (currentPoll === mine) currentPoll = null;
    if (!left && !isWhole) await sync();
  }

  function becomeLeader(): () => void {
    isLeader = true;
    // Polls until there is a free connection for a feed, and where a proxy holds the feed back.
    let pollTimer: ReturnType<typeof setInterval> | undefined;
    const setPolling = (on: boolean) => {
      clearInterval(pollTimer);
      pollTimer = on ? setInterval(() => void pollOnce(), POLL_MS) : undefined;
    };
    setPolling(true);
    let resyncing = false;
    const leaveSlot = acquireRole(locks, roles.slots, () => {
      setPolling(false);
      cancelPoll();
      const mine = (feed = connectSse(
        {
          connect: (at, signal) => api.events(session, at, signal),
          cursor: () => cursor,
          onFrame(frame) {
            if (resyncing || handleFrame(frame)) return;
            // Events were missed: what comes now is ignored until the history has been read.
            resyncing = true;
            void sync().then(() => {
              resyncing = false;
              mine.reconnect();
            });
          },
          onState(state) {
            open = state === "open";
            if (open) releaseAnswerStream?.();
            setPolling(state === "buffered");
            if (state === "buffered") void sync();
            else deps.onFeed(state);
          },
          onRefused: deps.onRefused,
        },
        deps.timing,
      ));
      return () => {
        mine.stop();
        if (feed === mine) {
          feed = null;
          open = false;
        }
      };
    });
    return () => {
      isLeader = false;
      setPolling(false);
      cancelPoll();
      leaveSlot();
    };
  }

  function cancelPoll(): void {
    const last = currentPoll;
    currentPoll = null;
    last?.abort();
  }

  /**
   * Reads a question's own response stream until the feed is open, so that the first answer need not wait for the feed;
   * to its end where this tab has no feed. The feed, or a poll, brings the same events again, in the order of the log.
   */
  async function consumeAnswerStream(response: Response): Promise<void> {
    const reader = response.body?.getReader();
    let held = false;
    const leave = acquireRole(locks, roles.answers, () => {
      held = true;
      return () => {};
    });
    const quit = (releaseAnswerStream = () => {
      releaseAnswerStream = null;
      leave();
      reader?.cancel().catch(() => {});
    });
    if (!reader || isFeedEnough()) return quit();
    // All tabs together have six connections: of streams such as this one some of them may be held at a time.
    const turned = setTimeout(() => {
      if (!held && releaseAnswerStream === quit) quit();
    }, 50);
    const limit = setInterval(() => {
      if (feed) quit();
    }, ANSWER_STREAM_MS);
    const parse = createParser(answerFrameHandler());
    try {
      await readText(reader, (text) => {
        if (releaseAnswerStream !== quit) return false;
        parse(text);
        return true;
      });
    } catch {
      /* the feed has it all */
    }
    clearInterval(limit);
    clearTimeout(turned);
    if (releaseAnswerStream === quit) quit();
    if (isLeader && !feed) void pollOnce();
  }

  /** Whether the answer comes without its own stream: by the open feed, or from the tab that leads. */
  const isFeedEnough = () => open || stopped || (placed && !isLeader);

  /** Shows the events of a question's own response: of its end only where no feed brings it. */
  function answerFrameHandler(): (frame: Frame) => void {
    let offset = 0;
    return (frame) => {
      const event = decodeFrame(frame)?.event;
      if (!event || open || stopped) return;
      switch (event.event) {
        // The question is for people. Only the log says who has the conversation now.
        case "handler":
          return deps.onHeld();
        case "answer.start":
          offset = 0;
          break;
        case "answer.delta":
          event.at = offset;
          offset += event.text.length;
          break;
        case "answer.end":
        case "answer.error":
          if (feed) return;
          break;
        default:
          return;
      }
      deps.onEvent(event);
    };
  }

  function setFeed(on: boolean): void {
    if (on === Boolean(leaveFeed)) return;
    clearInterval(watch);
    if (!on) {
      leaveFeed?.();
      leaveFeed = null;
      return;
    }
    lastMessageAt = Date.now();
    // Leads without the role, until the role comes: two feeds would count every word twice.
    let alone: (() => void) | null = null;
    const quit = () => {
      alone?.();
      alone = null;
    };
    const wait = acquireRole(locks, roles.feed, () => {
      quit();
      return becomeLeader();
    });
    leaveFeed = () => {
      wait();
      quit();
    };
    if (!isLeader) channel.post({ kind: "ask" });
    watch = setInterval(() => {
      if (!isLeader && Date.now() - lastMessageAt > LEADER_TIMEOUT_MS) alone = becomeLeader();
    }, 5_000);
  }

  function setHeartbeat(on: boolean): void {
    if (on === Boolean(leaveBeat)) return;
    if (!on) {
      leaveBeat?.();
      leaveBeat = null;
      return;
    }
    leaveBeat = acquireRole(locks, roles.beat, () => {
      const timer = setInterval(() => {
        api.heartbeat(session).then(deps.onBeat, (error: ApiError) => {
          if (stopped) return;
          if (error.isDenied) deps.onRefused(error);
          else if (error.code === "session_ended")
            deps.onEvent({ event: "session", status: "ended" });
        });
      }, deps.heartbeat * 1000);
      return () => clearInterval(timer);
    });
  }

  function stop(): void {
    if (stopped) return;
    setFeed(false);
    setHeartbeat(false);
    releaseAnswerStream?.();
    stopped = true;
    channel.close();
  }

  return {
    setActive(feed, beat) {
      wanted = { feed, beat };
      if (stopped) return;
      if (placed) setFeed(feed);
      setHeartbeat(beat);
    },
    setCursor(at) {
      cursor = at;
      placed = true;
      if (!stopped) setFeed(wanted.feed);
    },
    broadcast(kind) {
      if (kind === "ended") forward("session", { status: kind });
      else channel.post({ kind });
    },
    consumeAnswerStream,
    wake() {
      feed?.wake();
    },
    stop,
  };
}
