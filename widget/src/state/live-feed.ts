/** One conversation, live in many tabs: one of them holds the feed, one the heartbeat, and tells the others what comes. */
import type { Api, ApiError } from "../client/api";
import { createParser, type Frame } from "../client/sse-parser";
import { connectSse, type SseConnection, type Timing } from "../client/sse-connection";
import { acquireRole, openChannel, hash53, type Platform } from "../client/tab-sync";
import { readEvent, type ChatEvent, type Turn } from "./reducer";

export interface LiveParts {
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
  /** Another tab claims it: it gets another id at this moment. */
  onMoved(): void;
  onBeat(): void;
}

export interface Live {
  /** What this tab wants now: to hear, and to say that somebody is there. */
  want(feed: boolean, beat: boolean): void;
  /** Where to go on from, once the history was read. */
  place(cursor: string): void;
  /** `moved`: it gets another id, which the tabs of this browser find in the storage. */
  tell(kind: "erased" | "moved" | "ended"): void;
  /** A question was taken, and this is its own stream. */
  listen(response: Response): Promise<void>;
  wake(): void;
  stop(): void;
}

/** Feeds of different conversations that one browser keeps open at a time: it has six connections for all its tabs. */
const SLOTS = 2;
/** A tab without a feed looks so often for what is new; the look ends when no more comes for so long, or after a second. */
const POLL = 3_000, QUIET = 300, LOOK = 1_000;
/** How long a question's own stream may hold a connection where there is a feed. */
const EARLY = 5_000;
/** A tab that hears nothing of the one that holds the feed for so long helps itself. */
const PATIENCE = 25_000;

/** The event in a frame, and its data to pass on; null for what is none. */
function readFrame({ event: kind, data: text }: Frame): { event: ChatEvent; data: Record<string, unknown> } | null {
  try {
    const data: unknown = JSON.parse(text), event = readEvent(kind, data);
    return event && { event, data: data as Record<string, unknown> };
  } catch { return null; }
}

export function createLive(parts: LiveParts): Live {
  const { api, session } = parts;
  // Where tabs cannot tell each other, one of them must not hear for all.
  const locks = parts.platform.channel && parts.platform.locks;
  const name = hash53(api.base + session);
  const places = (kind: string) => Array.from({ length: SLOTS }, (_, n) => `baton:${kind}:${n}:${api.base}`);
  const roles = { feed: `baton:feed:${name}`, beat: `baton:beat:${name}`, slots: places("slot"), early: places("early") };
  // `place`: how far into the running answer the cursor is, in characters.
  let cursor = "", chain = "", place = 0, open = false, early: (() => void) | null = null, feed: SseConnection | null = null, leads = false, stopped = false, heard = Date.now(), syncing = false, looking: AbortController | null = null;
  let wanted = { feed: false, beat: false }, placed = false;
  let leaveFeed: (() => void) | null = null, leaveBeat: (() => void) | null = null, watch: ReturnType<typeof setInterval> | undefined;

  const channel = openChannel(parts.platform, `baton:${name}`, (message) => {
    if (message.kind === "erased") return parts.onErased();
    if (message.kind === "moved") { stop(); return parts.onMoved(); }
    if (message.kind === "ask") return leads ? retell() : undefined;
    if (leads) return;
    heard = Date.now();
    if (message.kind === "event") follow(message);
  });

  /** An event that the feed's holder passed on. */
  function follow({ event: kind, data, id, after }: Record<string, unknown>): void {
    const event = typeof kind === "string" ? readEvent(kind, data) : null;
    if (!event) return;
    const turn = parts.turn();
    const torn = event.event === "answer.delta" && (turn?.turn_id !== event.turn_id || (event.at ?? 0) > turn.text.length);
    const named = typeof id === "string" && id !== "" && id.length <= 100;
    // Not the next after what this tab heard last: something may have been missed, and the history has it.
    const gap = named && (!after || after !== chain);
    // Nobody looks here: on the next look the feed goes on from the old place.
    if (gap && !wanted.feed && event.event !== "session") return;
    parts.onEvent(event);
    if (torn) channel.post({ kind: "ask" });
    if (!named) return;
    chain = cursor = id;
    if (event.event === "answer.start") place = 0;
    if (event.event === "answer.delta") place = (event.at ?? place) + event.text.length;
    if (gap) void sync();
  }

  /** For a tab that came in the middle of an answer: the answer so far, in the form of events. */
  function retell(): void {
    const turn = parts.turn();
    channel.post({ kind: "alive" });
    if (!turn) return;
    pass("answer.start", { turn_id: turn.turn_id });
    pass("answer.delta", { turn_id: turn.turn_id, text: turn.text, at: 0 });
  }

  const pass = (event: string, data: unknown, id = "", after = "") => channel.post({ kind: "event", event, data, id, after });

  async function sync(): Promise<boolean> {
    if (syncing || stopped) return false;
    syncing = true;
    try {
      const found = await parts.sync();
      if (!stopped) cursor = found;
      return true;
    } catch { return false; } finally { syncing = false; }
  }

  /** What a feed, or a look at it, brings: told here and in the other tabs. False where the wanted position is gone. */
  function take(frame: Frame): boolean {
    const read = readFrame(frame), after = chain;
    if (read?.event.event === "ping") channel.post({ kind: "alive" });
    if (read?.event.event === "reset") return false;
    if (frame.id) chain = cursor = frame.id;
    if (!read || read.event.event === "ping") return true;
    const { event, data } = read;
    if (event.event === "answer.start") place = 0;
    if (event.event === "answer.delta") { data.at = event.at = place; place += event.text.length; }
    parts.onEvent(event);
    pass(frame.event, data, frame.id ?? "", after);
    return true;
  }

  /** A short look at the feed where none can be held; where not a byte comes, the history is read. */
  async function look(): Promise<void> {
    channel.post({ kind: "alive" });
    if (looking || stopped) return;
    const mine = looking = new AbortController();
    let spoke = false, lost = false, until = 0, timer: ReturnType<typeof setTimeout> | undefined;
    const linger = (reader: ReadableStreamDefaultReader) => {
      until ||= Date.now() + LOOK;
      if (Date.now() > until) return;
      clearTimeout(timer);
      timer = setTimeout(() => { mine.abort(); reader.cancel().catch(() => {}); }, QUIET);
    };
    timer = setTimeout(() => mine.abort(), 2 * LOOK);
    try {
      const reader = (await api.events(session, cursor, mine.signal)).body!.getReader(), text = new TextDecoder();
      const parse = createParser((frame) => { lost ||= !mine.signal.aborted && !take(frame); });
      linger(reader);
      for (let got = await reader.read(); !got.done && !lost; got = await reader.read()) {
        spoke = true;
        linger(reader);
        parse(text.decode(got.value, { stream: true }));
      }
    } catch (cause) {
      const error = cause as ApiError;
      if ((error.isGone || error.isForbidden) && !stopped) parts.onRefused(error);
    }
    clearTimeout(timer);
    const left = mine.signal.aborted && looking !== mine;
    mine.abort();
    if (looking === mine) looking = null;
    if (!left && (lost || !spoke)) await sync();
  }

  function lead(): () => void {
    leads = true;
    // Until there is a free connection for a feed, or where a proxy holds its words back, there are only looks at it.
    let polling: ReturnType<typeof setInterval> | undefined;
    const poll = (on: boolean) => {
      clearInterval(polling);
      polling = on ? setInterval(() => void look(), POLL) : undefined;
    };
    poll(true);
    let deaf = false;
    const leaveSlot = acquireRole(locks, roles.slots, () => {
      poll(false);
      leaveLook();
      const mine = feed = connectSse({
        connect: (at, signal) => api.events(session, at, signal),
        cursor: () => cursor,
        onFrame(frame) {
          if (deaf || take(frame)) return;
          // What comes now follows on something that was missed: nothing of it is used until the history was read.
          deaf = true;
          void sync().then(() => { deaf = false; mine.reconnect(); });
        },
        onState(state) {
          open = state === "open";
          if (open) early?.();
          poll(state === "mute");
          if (state === "mute") void sync();
          else parts.onFeed(state);
        },
        onRefused: parts.onRefused,
      }, parts.timing);
      return () => { mine.stop(); if (feed === mine) { feed = null; open = false; } };
    });
    return () => { leads = false; poll(false); leaveLook(); leaveSlot(); };
  }

  function leaveLook(): void {
    const last = looking;
    looking = null;
    last?.abort();
  }

  /**
   * A question's own stream: its words until the feed speaks, for the first answer need not wait for that; to its end
   * where this tab has no feed. It is told by the feed, or by the looks at it, once more, in the order of all that is told.
   */
  async function listen(response: Response): Promise<void> {
    const reader = response.body?.getReader();
    let held = false;
    const leave = acquireRole(locks, roles.early, () => { held = true; return () => {}; });
    const quit = early = () => { early = null; leave(); reader?.cancel().catch(() => {}); };
    if (open || stopped || !reader || (placed && !leads)) return quit();
    // All tabs together have six connections: of streams such as this one some of them may be held at a time.
    const turned = setTimeout(() => { if (!held && early === quit) quit(); }, 50);
    const limit = setInterval(() => { if (feed) quit(); }, EARLY), text = new TextDecoder();
    let at = 0;
    const parse = createParser((frame) => {
      const event = readFrame(frame)?.event;
      if (!event || open || stopped) return;
      if (event.event === "answer.start") at = 0;
      if (event.event === "answer.delta") { event.at = at; at += event.text.length; }
      const ends = event.event === "answer.end" || event.event === "answer.error";
      if (event.event === "answer.start" || event.event === "answer.delta" || (ends && !feed)) parts.onEvent(event);
    });
    try {
      for (let got = await reader.read(); !got.done && early === quit; got = await reader.read()) parse(text.decode(got.value, { stream: true }));
    } catch { /* the feed has it all */ }
    clearInterval(limit);
    clearTimeout(turned);
    if (early === quit) quit();
    if (leads && !feed) void look();
  }

  function wantFeed(on: boolean): void {
    if (on === Boolean(leaveFeed)) return;
    clearInterval(watch);
    if (!on) { leaveFeed?.(); leaveFeed = null; return; }
    heard = Date.now();
    // Leads without the role, until the role comes: two feeds would count every word twice.
    let alone: (() => void) | null = null;
    const quit = () => { alone?.(); alone = null; };
    const wait = acquireRole(locks, roles.feed, () => { quit(); return lead(); });
    leaveFeed = () => { wait(); quit(); };
    if (!leads) channel.post({ kind: "ask" });
    watch = setInterval(() => { if (!leads && Date.now() - heard > PATIENCE) alone = lead(); }, 5_000);
  }

  function wantBeat(on: boolean): void {
    if (on === Boolean(leaveBeat)) return;
    if (!on) { leaveBeat?.(); leaveBeat = null; return; }
    leaveBeat = acquireRole(locks, roles.beat, () => {
      const timer = setInterval(() => {
        api.heartbeat(session).then(parts.onBeat, (error: ApiError) => {
          if (stopped) return;
          if (error.isGone || error.isForbidden) parts.onRefused(error);
          else if (error.code === "session_ended") parts.onEvent({ event: "session", status: "ended" });
        });
      }, parts.heartbeat * 1000);
      return () => clearInterval(timer);
    });
  }

  function stop(): void {
    if (stopped) return;
    wantFeed(false);
    wantBeat(false);
    early?.();
    stopped = true;
    channel.close();
  }

  return {
    want(feed, beat) {
      wanted = { feed, beat };
      if (stopped) return;
      if (placed) wantFeed(feed);
      wantBeat(beat);
    },
    place(at) {
      cursor = at;
      placed = true;
      if (!stopped) wantFeed(wanted.feed);
    },
    tell(kind) {
      if (kind === "ended") pass("session", { status: kind });
      else channel.post({ kind });
    },
    listen,
    wake() { feed?.wake(); },
    stop,
  };
}
