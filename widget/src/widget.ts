/** The part of the widget that is loaded when a visitor reaches for it: the panel and its conversation. */
import { createConversation } from "./state/conversation";
import { BatonChat } from "./components/chat";
import { mountPanel } from "./components/panel";
import type { TokenProvider } from "./state/identity";
import { getChunk, loadChunk } from "./client/lazy-chunks";
import { readOptions } from "./options";
import { createBrowserStorage, browserStorages } from "./client/browser-storage";
import type { Conversation } from "./types";
import { isLocal } from "./state/reducer";

export interface Panel {
  open(): void;
  close(): void;
  toggle(): void;
  end(): void;
  identify(user: TokenProvider): void;
  /** Shows what has changed in the options; false where that takes a new start. */
  update(): boolean;
  destroy(): void;
}

interface Site {
  init(options: { user: TokenProvider }): void;
}
type Raw = Readonly<Record<string, unknown>>;
type Emit = (event: string, detail?: unknown) => void;
type Standalone = typeof import("./standalone.chunk");

/** `raw`: the options as they came; `base`: the service's address; `emit`: events for the host page; `site`: `window.Baton`. */
export function mount(
  host: HTMLElement,
  raw: Record<string, unknown>,
  base: string,
  emit: Emit,
  site: Site,
): Panel {
  let branding: Raw | undefined;
  const read = (given: Raw) => ({ ...readOptions(given, branding), apiUrl: base });
  const options = read(raw);
  const before = { ...raw };
  const conversation = createConversation(options);
  const store = createBrowserStorage(base, options.sessionScope, false, browserStorages());
  // Not a name and not an id: `Baton.sessionKey` is the key in use.
  if (!options.sessionKey) delete raw.sessionKey;
  const ready = fetchBranding(base).then((settings) => {
    branding = settings;
    if (branding && !signal.aborted) update();
  });
  const panel = mountPanel(host, conversation, options, ready);
  let chats: ReturnType<Standalone["bindStandaloneChats"]> | undefined;
  // Somebody else was in this tab before: it begins anew. Other tabs speak for the users that their own pages named.
  const identify = (user: unknown, one = conversation) => {
    if (user)
      one.identify(user as TokenProvider, () => {
        store.clearTabState();
        site.init({ user: user as TokenProvider });
      });
  };
  identify(raw.user);
  const update = () => {
    panel.update(read(raw));
    chats?.update();
  };
  const updateActive = () =>
    conversation.setActive(panel.isOpen() || !!chats?.isShown(conversation));
  const listening = new AbortController();
  const { signal } = listening;

  const bind = (chat: BatonChat): void =>
    void loadChunk("standalone").then((there) => {
      if (signal.aborted) return;
      if (!there) return void setTimeout(bind, 3000, chat);
      chats ??= getChunk<Standalone>("standalone")!.bindStandaloneChats({
        raw,
        read,
        ready,
        conversation,
        create: createConversation,
        identify,
        update: updateActive,
        watch,
      });
      chats.connected(chat);
    });
  BatonChat.standalone = {
    connected: bind,
    disconnected: (chat) => chats?.disconnected(chat),
  };
  for (const chat of document.querySelectorAll("baton-chat"))
    if (chat instanceof BatonChat) bind(chat);

  for (const event of ["open", "close"])
    host.addEventListener(
      `baton-${event}`,
      () => {
        store.open = panel.isOpen();
        updateActive();
        if (store.open) void conversation.start();
        emit(event);
      },
      { signal },
    );
  const stop = watch(conversation, emit);

  return {
    ...panel,
    identify(user) {
      identify(user);
      chats?.identify(user);
    },
    update() {
      for (const name in raw)
        if (raw[name] !== before[name] && !APPEARANCE.test(name)) return false;
      update();
      return true;
    },
    destroy() {
      listening.abort();
      stop();
      BatonChat.standalone = undefined;
      chats?.dispose();
      panel.destroy();
      conversation.dispose();
    },
  };
}

/** What the server says of the site's branding; undefined where it says nothing in time. */
const fetchBranding = (base: string): Promise<Raw | undefined> =>
  fetch(base + "api/site", {
    credentials: "omit",
    referrerPolicy: "no-referrer",
    signal: AbortSignal.timeout(3000),
  })
    .then((response) => (response.ok ? response.json() : undefined))
    .catch(() => undefined);

/** The options that change in an open panel; each of the others takes a new start. */
const APPEARANCE = /^(title|greeting|suggestions|color|theme|lang)$/;

/** The site gets an event for what is new, never the credential of the conversation. */
function watch(conversation: Conversation, emit: Emit): () => void {
  let { status } = conversation.state;
  const emittedIds = new Set<string>();
  let quiet = true;
  return conversation.subscribe(() => {
    const { state } = conversation;
    if (state.status !== status) emit("session", { status: (status = state.status) });
    // What was there before is no news.
    const restored = quiet || state.loading;
    quiet = state.loading || state.status === "none";
    for (const message of state.messages.slice(-20)) {
      if (isLocal(message) || emittedIds.has(message.id)) continue;
      emittedIds.add(message.id);
      const { id, role, content, created_at } = message;
      if (!restored) emit("message", { id, role, content, created_at });
    }
  });
}
