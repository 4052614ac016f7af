/** What pages need that have a `<baton-chat>` of their own: each element gets its options and its conversation. */
import type { BatonChat } from "./components/chat";
import type { Settings } from "./options";
import type { Conversation, Options } from "./types";

type Emit = (event: string, detail?: unknown) => void;

export interface StandaloneDeps {
  /** The options of the tag and of Baton.init: the attributes of an element go before them. */
  raw: Readonly<Record<string, unknown>>;
  /** Reads options; what they leave open is as the server says. */
  read(options: Readonly<Record<string, unknown>>): Settings & { apiUrl: string };
  /** What the first rendering waits for. */
  ready: Promise<unknown>;
  /** The panel's. */
  conversation: Conversation;
  create(options: Options & { apiUrl: string }): Conversation;
  identify(user: unknown, conversation: Conversation): void;
  /** Runs the feed of the panel's conversation as long as something shows it. */
  update(): void;
  watch(conversation: Conversation, emit: Emit): () => void;
}

/** Elements with the same ones show the same conversation. */
const CONVERSATION = [
  "sessionKey",
  "sessionScope",
  "sessionExpiry",
  "heartbeatInterval",
  "autoRestore",
];

export function bindStandaloneChats(deps: StandaloneDeps) {
  const { raw } = deps;
  const bound = new Map<BatonChat, () => void>();
  // Addresses come from the tag and from Baton.init, never from an element: credentials are sent there.
  const read = (attributes: object) => deps.read({ ...raw, ...attributes, chatUrl: raw.chatUrl });
  const name = (options: object) => JSON.stringify(options, CONVERSATION);
  const others = new Map<string, Conversation>();
  const panelName = name(read({}));
  let user = raw.user;

  function conversationFor(options: ReturnType<typeof read>): Conversation {
    if (name(options) === panelName) return deps.conversation;
    let conversation = others.get(name(options));
    if (!conversation) {
      others.set(name(options), (conversation = deps.create(options)));
      deps.identify(user, conversation);
    }
    return conversation;
  }

  const isShown = (conversation: Conversation) =>
    [...bound.keys()].some((chat) => chat.conversation === conversation);

  /** The feed of a conversation runs as long as something shows it. */
  function updateActive(): void {
    deps.update();
    for (const conversation of others.values()) conversation.setActive(isShown(conversation));
  }

  function bind(chat: BatonChat): void {
    const attributes = JSON.stringify(chat.dataset);
    const options = read({ ...chat.dataset });
    const conversation = conversationFor(options);
    Object.assign(chat, { ready: deps.ready, options });
    if (chat.conversation !== conversation) chat.conversation = conversation;
    const stop = deps.watch(conversation, (event, detail) =>
      chat.dispatchEvent(new CustomEvent(`baton-${event}`, { detail })),
    );
    // The element sets attributes of its own, which are no options.
    const observer = new MutationObserver(() => {
      if (JSON.stringify(chat.dataset) !== attributes) rebind(chat);
    });
    observer.observe(chat, { attributes: true });
    bound.set(chat, () => {
      stop();
      observer.disconnect();
      bound.delete(chat);
    });
    updateActive();
    void conversation.start();
  }

  function rebind(chat: BatonChat): void {
    bound.get(chat)?.();
    bind(chat);
  }

  return {
    isShown,
    connected(chat: BatonChat): void {
      if (chat.isConnected && !bound.has(chat)) bind(chat);
    },
    disconnected(chat: BatonChat): void {
      if (!bound.has(chat)) return;
      bound.get(chat)!();
      chat.conversation = undefined;
      updateActive();
    },
    update: () => [...bound.keys()].forEach(rebind),
    identify(given: unknown): void {
      user = given;
      for (const conversation of others.values()) deps.identify(given, conversation);
    },
    dispose(): void {
      for (const [chat, release] of bound) {
        release();
        chat.conversation = undefined;
      }
      for (const conversation of others.values()) conversation.dispose();
    },
  };
}
