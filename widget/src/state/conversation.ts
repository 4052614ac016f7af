/** The conversation as the view sees it: what there is to show, and what one can do. */
import { createApi, type ApiError, type Fetch, type History } from "../client/api";
import { compose, isOver, newDesk } from "./store";
import { createDeeds } from "./actions";
import type { Given } from "./identity";
import { getChunk, loadChunk } from "../client/lazy-chunks";
import { createNotices } from "./notices";
import { readOptions } from "../options";
import { createOutbox, type Fate, type Question } from "./outbox";
import { createSessions, type Loss } from "./session-manager";
import { createBrowserStorage, browserStorages, type BrowserStorages } from "../client/browser-storage";
import type { Timing } from "../client/sse-connection";
import { detectPlatform, randomId, type Platform } from "../client/tab-sync";
import { EMPTY, fold, isLocal, readMessage, readStatus, renew, say, unsay, type ChatEvent } from "./reducer";
import type { Conversation, Message, Options, State, Status } from "../types";
import { keep, missing, others } from "./unsent";
import { createVigil } from "./answer-watchdog";
import { observePage } from "../client/page-lifecycle";

export interface Deps {
  fetch: Fetch;
  places: BrowserStorages;
  platform: Platform;
  timing: Partial<Timing>;
  /** The full page: its tab keeps its own conversation. */
  own: boolean;
}

export function createConversation(given: Options & { apiUrl: string }, deps: Partial<Deps> = {}): Conversation {
  const options = readOptions({ ...given });
  const api = createApi((options.apiUrl ?? location.origin).replace(/\/*$/, "/"), deps.fetch);
  const own = deps.own ?? false;
  const storage = deps.places ?? browserStorages();
  const store = createBrowserStorage(api.base, options.sessionScope, own, storage);
  const desk = newDesk(options.sessionKey ?? null);
  const machine = deps.platform ?? detectPlatform();
  const listeners = new Set<() => void>(), resting = new Set<() => void>();
  let started: Promise<void> | null = null, putBacks = 0;

  const notices = createNotices(publish);
  const page = observePage({
    onWake() { desk.live?.wake(); outbox.wake(); },
    onChange: changed,
    onStorage: (event) => void sessions.onStorage(event),
  });
  const outbox = createOutbox({
    api, online: () => page.online, onFate,
    async session() { await start(); await desk.ready; return sessions.ensure(); },
    onGone: (error) => sessions.refused(error),
    onEnded: () => become("ended"),
    onDelivery(question, delivery) {
      if (!question.again) desk.transcript = say(desk.transcript, question.client_id, question.text, delivery, question.at);
      publish();
    },
  });
  const sessions = createSessions({
    api, desk, store, notices, page, options, own, changed, accept, machine, places: storage,
    live: { onEvent, timing: deps.timing }, busy: () => outbox.waiting.length > 0,
    borrow: async (claimed) => await loadChunk("identity") && keeper().borrow(claimed),
  });
  const vigil = createVigil({ desk, notices, sync: () => sessions.sync(), publish, changed });
  let state: State = compose(desk, null, 0, page.online);

  // --- what is shown ---

  function publish(): void {
    if (desk.disposed) return;
    state = compose(desk, notices.shown, notices.wait, page.online);
    if (!desk.waiting && !desk.transcript.turn) { for (const go of resting) go(); resting.clear(); }
    // A view that fails must not take the conversation with it.
    for (const listener of [...listeners]) try { listener(); } catch (error) { console.error(error); }
  }

  /** Wants of the feed and the heartbeat what is wanted now, and shows the change. */
  function changed(): void {
    const busy = desk.waiting || desk.transcript.turn !== null;
    notices.connection(!page.online ? "offline" : desk.feedDown ? "reconnecting" : null);
    if (!isOver(desk)) desk.live?.want((desk.active && page.isRecentlyVisible) || busy, desk.active && page.visible);
    else desk.live?.want(false, false);
    publish();
  }

  // --- what comes in ---

  function onEvent(event: ChatEvent): void {
    if (event.event === "session") return onStatus(event.status);
    if (event.event === "message") stored([event.message]);
    if (event.event === "answer.start" && (desk.waiting || lastAsked() === desk.asked)) desk.mine = event.turn_id;
    const before = desk.transcript;
    desk.transcript = fold(before, event);
    if (desk.transcript === before) return;
    if (event.event === "answer.delta") return publish();
    if (event.event !== "message") answered();
    if (event.event === "answer.error" && desk.transcript.failed) notices.say("answerFailed");
    sessions.touch();
    vigil.look();
    changed();
  }

  const lastAsked = () => desk.transcript.messages.findLast((one) => one.role === "user")?.client_id;

  function answered(): void {
    // A question still on its way is not what was answered.
    if (outbox.waiting.length && !desk.transcript.turn) return;
    desk.waiting = desk.unanswered = false;
    vigil.answered();
  }

  function onStatus(next: Status): void {
    if (next === "gone") return sessions.lose("erased");
    const news = next !== desk.status;
    become(next);
    // An erased session tells its end too: only asking shows which of the two it was.
    if (news && next === "ended" && desk.session) {
      const { era } = desk;
      api.status(desk.session).catch((error: ApiError) => { if (error.isGone && era === desk.era) sessions.lose("erased"); });
    }
  }

  function become(next: Status): void {
    if (desk.status === "ended" && next !== "gone") return;
    desk.status = next;
    if (next === "ended") { desk.waiting = false; notices.keep("ended"); }
    changed();
  }

  /** What the service has is on its way no more. */
  function stored(messages: readonly Message[]): void {
    for (const { client_id } of messages) if (client_id) outbox.seen(client_id);
    missing(store, messages);
  }

  /** A page of history that was just read: the newest, or `known` says what was known when it was asked for. */
  function accept(found: History, known: ReadonlySet<string> | null): void {
    const messages = (found.messages ?? []).map(readMessage).filter((one) => one !== null);
    stored(messages);
    const first = desk.transcript.messages[0];
    desk.transcript = renew(desk.transcript, messages, known);
    if (!first || desk.transcript.messages[0]?.id !== first.id) desk.hasOlder = Boolean(found.has_more);
    const question = messages.findLastIndex((one) => desk.asked !== "" && one.client_id === desk.asked);
    if (question >= 0 && messages.slice(question + 1).some((one) => one.role === "assistant")) answered();
    vigil.look();
    const status = readStatus(found.status);
    if (status !== desk.status && status !== "gone") become(status);
    else changed();
  }

  // --- what goes out ---

  function ask(question: Question): void {
    notices.clear();
    desk.waiting = true;
    desk.unanswered = false;
    desk.asked = store.lastClientId = question.client_id;
    if (question.again) desk.transcript = { ...desk.transcript, failed: null };
    else {
      desk.transcript = say(desk.transcript, question.client_id, question.text, page.online ? "sending" : "queued", question.at);
      keep(store, question);
    }
    outbox.add(question);
    changed();
  }

  async function onFate(question: Question, fate: Fate): Promise<void> {
    const { client_id } = question;
    const local = !question.again;
    store.unsent = others(store, client_id);
    if (fate.fate === "taken") {
      if (fate.stream) void (desk.live?.listen(fate.stream) ?? fate.stream.body?.cancel());
      if (local) desk.transcript = say(desk.transcript, client_id, question.text, undefined, question.at);
      sessions.touch();
      if (desk.waiting) vigil.watchFor(client_id);
      changed();
      // The next question waits for this one's answer.
      if (outbox.waiting.length && (desk.waiting || desk.transcript.turn)) await new Promise<void>((go) => resting.add(go));
      if (outbox.waiting[0]) { desk.waiting = true; desk.asked = store.lastClientId = outbox.waiting[0].client_id; }
      return;
    }
    desk.waiting = outbox.waiting.length > 0;
    if (fate.fate === "unanswered") {
      if (local) desk.transcript = say(desk.transcript, client_id, question.text, undefined, question.at);
      desk.transcript = { ...desk.transcript, failed: fate.code };
      notices.say("answerFailed");
    } else if (fate.fate === "failed") {
      if (local) desk.transcript = say(desk.transcript, client_id, question.text, "failed", question.at);
      else desk.transcript = { ...desk.transcript, failed: "not_sent" };
      if (local) keep(store, question, true);
      tell(fate.notice, fate.seconds);
    } else {
      const next = fate.fate === "back" && fate.notice === "busy";
      if (local) { desk.transcript = unsay(desk.transcript, client_id); desk.putBack = { text: question.text, n: ++putBacks, next }; }
      if (local && next) vigil.hold(client_id);
      if (fate.fate === "back") tell(fate.notice, fate.seconds);
    }
    changed();
  }

  function tell(notice: string, seconds: number): void {
    if (notice === "ended") notices.keep(notice);
    else if (seconds) notices.count(notice, seconds);
    else notices.say(notice);
  }

  function start({ session }: { session?: string } = {}): Promise<void> {
    return (started ??= (async () => {
      desk.loading = true;
      changed();
      await desk.ready;
      desk.started = true;
      try { await sessions.begin(session); } catch (error) { console.error(error); } finally { desk.loading = false; }
      for (const { held, ...one } of missing(store, desk.transcript.messages)) {
        if (held) desk.transcript = say(desk.transcript, one.client_id, one.text, "failed", one.at);
        else ask(one);
      }
      changed();
    })());
  }

  const deeds = createDeeds({ api, desk, sessions, page, options, tell, publish, become, start, fresh, onEvent, clear: () => outbox.clear() });

  function fresh(notice: Loss | null = null): void {
    outbox.clear();
    store.unsent = [];
    sessions.drop(notice);
    vigil.stop();
    Object.assign(desk, { status: "none", transcript: EMPTY, past: [], waiting: false, asked: "", mine: "", fromElsewhere: false });
    notices.reset();
    notices.keep(notice);
    changed();
  }

  function subscribe(listener: () => void) { listeners.add(listener); return () => { listeners.delete(listener); }; }

  const keeper = () => getChunk<typeof import("./identity")>("identity")!.keeperOf({ api, desk, sessions, store, notices, page, options, outbox, machine, accept, changed, subscribe });

  return {
    get state() { return state; },
    subscribe,
    start,
    identify(given: Given, restart: () => void) {
      desk.ready = loadChunk("identity").then((there) => there ? keeper().take(given, restart) : undefined);
    },

    async send(text) {
      if (!text.trim() || desk.disposed) return;
      if (page.online && (desk.waiting || desk.transcript.turn || notices.wait)) {
        desk.putBack = { text, n: ++putBacks };
        if (!notices.wait) notices.say("busy");
        return publish();
      }
      ask({ client_id: `q.${randomId()}`, text, at: new Date().toISOString() });
    },

    async stop() {
      const taken = outbox.cancel();
      // Off the network a question that was not sent yet is only taken back.
      if (!desk.session || (taken && !page.online)) return;
      const { turn } = desk.transcript;
      await deeds.call((session) => api.stop(session), taken ? null : "notStopped").catch(() => null);
      // The end comes by the feed; where it does not, the history has it.
      setTimeout(() => { if (!taken && (desk.waiting || (turn && desk.transcript.turn?.turn_id === turn.turn_id))) void sessions.sync().catch(() => {}); }, 2_000);
    },

    async retry(clientId) {
      if (outbox.waiting.some((one) => one.client_id === clientId)) return outbox.wake();
      if (notices.wait || (page.online && (desk.waiting || desk.transcript.turn))) return;
      const at = new Date().toISOString();
      const unsent = clientId ? desk.transcript.messages.find((one) => isLocal(one) && one.client_id === clientId) : undefined;
      if (unsent) return ask({ client_id: clientId!, text: unsent.content, at: unsent.created_at });
      const last = desk.transcript.messages.findLast((one) => one.role === "user" && !isLocal(one))
        ?? desk.transcript.messages.findLast((one) => one.role === "user");
      if (last) ask({ client_id: last.client_id ?? `q.${randomId()}`, text: last.content, at, again: true });
    },

    startNew: () => fresh(),
    end: deeds.end, loadOlder: deeds.loadOlder, link: deeds.link, transcript: deeds.transcript, erase: deeds.erase, feedback: deeds.feedback,

    get draft() { return store.draft; },
    set draft(text) { store.draft = text; },

    setActive(active) {
      desk.active = active;
      changed();
    },

    dispose() {
      desk.disposed = true;
      outbox.dispose();
      desk.live?.stop();
      notices.dispose();
      page.dispose();
      vigil.stop();
      listeners.clear();
    },
  };
}
