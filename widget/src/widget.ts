/** The part of the widget that is loaded when a visitor reaches for it: the panel and its conversation. */
import { createConversation } from "./state/conversation";
import { BatonChat } from "./components/chat";
import { mountPanel } from "./components/panel";
import type { TokenProvider } from "./state/identity";
import { readOptions } from "./options";
import { createBrowserStorage, browserStorages } from "./client/browser-storage";
import { isLocal } from "./state/reducer";

export interface Panel {
  open(): void;
  close(): void;
  toggle(): void;
  end(): void;
  identify(user: TokenProvider): void;
  destroy(): void;
}

interface Site {
  init(options: { user: TokenProvider }): void;
}

/** `raw`: the options as they came; `base`: the service's address; `emit`: tells the host page; `site`: `window.Baton`. */
export function mount(
  host: HTMLElement,
  raw: Record<string, unknown>,
  base: string,
  emit: (event: string, detail?: unknown) => void,
  site: Site,
): Panel {
  const options = readOptions(raw);
  const conversation = createConversation({ ...options, apiUrl: base });
  const store = createBrowserStorage(base, options.sessionScope, false, browserStorages());
  const panel = mountPanel(host, conversation, { ...options, apiUrl: base });
  // Somebody else was in this tab before: it begins anew. Other tabs speak for the users that their own pages named.
  const identify = (user: TokenProvider) =>
    conversation.identify(user, () => {
      store.clearTabState();
      site.init({ user });
    });
  if (raw.user) identify(raw.user as TokenProvider);
  const chats = bindStandaloneChats((chat) => {
    Object.assign(chat, {
      options: { ...readOptions({ ...raw, ...chat.dataset }), apiUrl: base },
      conversation,
    });
    conversation.setActive(true);
    void conversation.start();
  });
  const listening = new AbortController();
  const { signal } = listening;

  host.addEventListener(
    "baton-open",
    () => {
      store.open = true;
      conversation.setActive(true);
      void conversation.start();
      emit("open");
    },
    { signal },
  );
  host.addEventListener(
    "baton-close",
    () => {
      store.open = false;
      conversation.setActive(chats.some((chat) => chat.isConnected));
      emit("close");
    },
    { signal },
  );

  // The site gets an event for what is new, never the credential of the conversation.
  let { status } = conversation.state;
  const emittedIds = new Set<string>();
  let quiet = true;
  const stop = conversation.subscribe(() => {
    const { state } = conversation;
    if (state.status !== status) emit("session", { status: (status = state.status) });
    // What was there before is no news.
    const restored = quiet || state.loading;
    quiet = state.loading || state.status === "none";
    for (const one of state.messages.slice(-20)) {
      if (isLocal(one) || emittedIds.has(one.id)) continue;
      emittedIds.add(one.id);
      if (!restored)
        emit("message", {
          id: one.id,
          role: one.role,
          content: one.content,
          created_at: one.created_at,
        });
    }
  });

  return {
    open: () => panel.open(),
    close: () => panel.close(),
    toggle: () => panel.toggle(),
    end: () => panel.end(),
    identify,
    destroy() {
      listening.abort();
      stop();
      BatonChat.onStandaloneConnected = undefined;
      for (const chat of chats) chat.conversation = undefined;
      panel.destroy();
      conversation.dispose();
    },
  };
}

/** The `<baton-chat>` elements that the page wrote itself, those to come included: they show the same conversation. */
function bindStandaloneChats(settle: (chat: BatonChat) => void): BatonChat[] {
  const chats: BatonChat[] = [];
  BatonChat.onStandaloneConnected = (chat) => {
    chats.push(chat);
    settle(chat);
  };
  for (const chat of document.querySelectorAll("baton-chat"))
    if (chat instanceof BatonChat) BatonChat.onStandaloneConnected(chat);
  return chats;
}
