/** The conversation as the view sees it: puts its modules together, and gives the view its state and what one can do. */
import { createApi, type Fetch } from "../client/api";
import {
  browserStorages,
  createBrowserStorage,
  type BrowserStorages,
} from "../client/browser-storage";
import { getChunk, loadChunk } from "../client/lazy-chunks";
import { observePage } from "../client/page-lifecycle";
import type { Timing } from "../client/sse-connection";
import { detectPlatform, randomId, type Platform } from "../client/tab-sync";
import { isSessionId, readOptions } from "../options";
import type { Conversation, Options, State } from "../types";
import type { Actions } from "./actions";
import type { IdentityManager } from "./identity";
import { createOutbox } from "./outbox";
import type { People } from "./people";
import { createSessionManager } from "./session-manager";
import { createStore, isBusy, secondsLeft, toViewState, when } from "./store";

export interface ConversationDeps {
  fetch: Fetch;
  storages: BrowserStorages;
  platform: Platform;
  timing: Partial<Timing>;
  /** The tab of the full page keeps its own conversation. */
  isFullPage: boolean;
}

export function createConversation(
  given: Options & { apiUrl: string },
  deps: Partial<ConversationDeps> = {},
): Conversation {
  const options = readOptions({ ...given });
  const {
    isFullPage = false,
    storages = browserStorages(),
    platform = detectPlatform(),
    timing,
  } = deps;
  const api = createApi((options.apiUrl ?? location.origin).replace(/\/*$/, "/"), deps.fetch);
  const storage = createBrowserStorage(
    api.base,
    options.sessionScope,
    isFullPage,
    storages,
    options.sessionKey,
  );
  const store = createStore(
    options.sessionKey && isSessionId(options.sessionKey) ? options.sessionKey : null,
  );
  const { dispatch } = store;
  let identity: IdentityManager | undefined,
    actions: Actions | undefined,
    people: People | undefined,
    stopWatchdog: (() => void) | undefined,
    started: Promise<void> | null = null;

  const page = observePage({
    onWake() {
      sessions.feed?.wake();
    },
    onChange() {
      sessions.updateFeed();
      notify();
    },
    onStorage: (event) => void sessions.onStorage(event),
  });
  const sessions = createSessionManager({
    api,
    store,
    storage,
    storages,
    platform,
    page,
    options,
    isFullPage,
    timing,
    restoreForUser: (found) => getIdentityManager().restore(found),
    requestToken: async (claimed) =>
      (await loadChunk("identity")) && getIdentityManager().requestTokenFromOtherTab(claimed),
  });
  const outbox = createOutbox({ api, store, storage, sessions, page });

  const getIdentityManager = (): IdentityManager =>
    (identity ??= getChunk<typeof import("./identity")>("identity")!.createIdentityManager({
      api,
      store,
      storage,
      sessions,
      page,
      options,
      platform,
    }));

  const messagesChunk = () => getChunk<typeof import("../messages.chunk")>("messages")!;

  /** The actions are in the messages chunk: most of them need a message. */
  async function withActions<T>(run: (actions: Actions) => Promise<T>): Promise<T> {
    if (!(await loadChunk("messages"))) {
      dispatch({ type: "notice", key: "unreachable" });
      throw new Error("Not loaded");
    }
    return run(
      (actions ??= messagesChunk().createActions({ api, store, sessions, outbox, page, options })),
    );
  }

  // What offers Retry comes with the list of messages, too.
  void when(store, () => store.state.transcript.messages.length > 0)
    .then(() => loadChunk("messages"))
    .then((there) => {
      if (there && !store.state.disposed)
        stopWatchdog = messagesChunk().createAnswerWatchdog(store, sessions.sync);
    });

  // --- what is shown ---

  const listeners = new Set<() => void>();
  let view: State | null = null,
    notified = true,
    countdown: unknown = null,
    timer: ReturnType<typeof setInterval> | undefined;

  /** Tells the view, once for all changes that are made together. */
  function notify(): void {
    view = null;
    if (!notified) return;
    notified = false;
    queueMicrotask(() => {
      notified = true;
      // A view that fails must not take the conversation with it.
      for (const listener of [...listeners])
        try {
          listener();
        } catch (error) {
          console.error(error);
        }
    });
  }

  store.subscribe(() => {
    notify();
    if (store.state.countdown === countdown) return;
    countdown = store.state.countdown;
    clearInterval(timer);
    if (countdown)
      timer = setInterval(
        () => (secondsLeft(store.state) ? notify() : dispatch({ type: "countdownOver" })),
        1000,
      );
  });

  return {
    get state() {
      return (view ??= toViewState(store.state, page.online));
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
      };
    },
    start: ({ session } = {}) => (started ??= sessions.start(session).then(outbox.restore)),
    identify(user, restart) {
      void sessions.hold(
        loadChunk("identity").then((there) =>
          there ? getIdentityManager().signIn(user, restart) : undefined,
        ),
      );
    },

    async send(text) {
      const { state } = store;
      if (!text.trim() || state.disposed) return;
      if (page.online && (isBusy(state) || secondsLeft(state))) {
        dispatch({ type: "draftReturned", text });
        return dispatch({ type: "notice", key: "busy" });
      }
      outbox.add({ client_id: `q.${randomId()}`, text, at: new Date().toISOString() });
    },

    stop: () => withActions((all) => all.stop(outbox.cancel())).catch(() => {}),
    retry: (clientId) => withActions((all) => all.retry(clientId)).catch(() => {}),
    startNew: () => sessions.startNew(),
    end: () => withActions((all) => all.end()),
    loadOlder: () => withActions((all) => all.loadOlder()).catch(() => {}),
    link: (...given) => withActions(async (all) => (await all.handoff(...given)).url),
    handoff: (...given) => withActions((all) => all.handoff(...given)),
    transcript: (format) => withActions((all) => all.transcript(format)),
    erase: () => withActions((all) => all.erase()),
    feedback: (...given) => withActions((all) => all.feedback(...given)),

    get people() {
      return (people ??= getChunk<typeof import("../people.chunk")>("people")?.createPeople({
        api,
        store,
        sessions,
      }));
    },

    get draft() {
      return storage.draft;
    },
    set draft(text) {
      storage.draft = text;
    },

    setActive(active) {
      dispatch({ type: "active", value: active });
    },

    dispose() {
      dispatch({ type: "disposed", value: true });
      outbox.dispose();
      sessions.closeFeed();
      page.dispose();
      stopWatchdog?.();
      clearInterval(timer);
      listeners.clear();
    },
  };
}
