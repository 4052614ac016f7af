/** What the React and the Vue component share: the options, the script of the service, and the chats on this page. */

export interface ChatOptions {
  /** The address of the service, for example "https://chat.example.com". */
  apiUrl: string;
  /** A session id made by your server, or any other name: each name is a conversation of its own in this browser. */
  sessionKey?: string;
  /** One conversation for all tabs (default), one a tab, or one a page load. */
  sessionScope?: "browser" | "tab" | "page";
  /** Seconds after the last activity during which a conversation comes back by itself (1800). */
  sessionExpiry?: number;
  /** Seconds between signs that the visitor is there (30). */
  heartbeatInterval?: number;
  /** `false`: never bring a conversation back by itself. */
  autoRestore?: boolean;
  /** What happens to the panel after "End chat": it stays (default), or closes. */
  onEnd?: "stay" | "close";
  /** One CSS colour; the palette is made from it. */
  color?: string;
  position?: "bottom-right" | "bottom-left";
  /** Distance from the corner in pixels: "20", or "20,80" for across and up. */
  offset?: string;
  title?: string;
  greeting?: string;
  suggestions?: readonly string[];
  theme?: "auto" | "light" | "dark";
  lang?: string;
  /** Where "Open full page" leads (the service's /chat). */
  chatUrl?: string;
}

export interface ChatMessage {
  id: string;
  role: "user" | "assistant" | "system";
  content: string;
  created_at: string;
}

export interface ChatSession {
  status: "none" | "active" | "abandoned" | "ended" | "gone";
}

/** A token that your server signed for the visitor, or a function that gives one. */
export type UserToken = string | (() => string | Promise<string>);

/** What an application can do with a chat. Calls made before the script is there are kept. */
export interface ChatHandle {
  /** Opens the panel; inline: moves the focus into the chat. */
  open(): void;
  /** Closes the panel; inline: does nothing. */
  close(): void;
  /** Ends the conversation, after asking the visitor. */
  end(): void;
  /** Your visitor is signed in. */
  identify(token: UserToken): void;
  /** Your visitor has signed out: nothing of theirs is left in this browser. */
  reset(): void;
}

export interface ChatEvents {
  open(): void;
  close(): void;
  message(message: ChatMessage): void;
  session(session: ChatSession): void;
}

/** `window.Baton` of the service's script. */
interface Baton extends ChatHandle {
  init(options?: object): void;
  destroy(): void;
  on(event: string, listener: (detail: never) => void): () => void;
}

type ChatElement = HTMLElement & { end(): void };

/** A chat on the page, until `unmount`. */
export interface MountedChat extends ChatHandle {
  update(options: ChatOptions): void;
  unmount(): void;
}

/** In this order, so that equal options make equal texts. */
export const OPTION_NAMES = [
  "apiUrl",
  "sessionKey",
  "sessionScope",
  "sessionExpiry",
  "heartbeatInterval",
  "autoRestore",
  "onEnd",
  "color",
  "position",
  "offset",
  "title",
  "greeting",
  "suggestions",
  "theme",
  "lang",
  "chatUrl",
] as const satisfies readonly (keyof ChatOptions)[];

/** Equal options, whatever objects they are in, are the same text. */
export function serializeOptions(options: ChatOptions): string {
  return JSON.stringify(options, [...OPTION_NAMES]);
}

/** The options as attributes of `<baton-chat>`. The addresses belong to the page, not to an element. */
export function dataAttributes(options: ChatOptions): Record<string, string> {
  const attributes: Record<string, string> = {};
  for (const name of OPTION_NAMES) {
    const value = options[name];
    if (value === undefined || value === null || name === "apiUrl" || name === "chatUrl") continue;
    const attribute = `data-${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    attributes[attribute] = typeof value === "object" ? JSON.stringify(value) : String(value);
  }
  return attributes;
}

const scripts = new Map<string, Promise<Baton | undefined>>();
/** The chats that are mounted, the launcher's among them. */
const mounted = new Set<object>();
/** A page has one launcher: the one that was mounted last has it. */
let launcher: object | undefined;
/** Whether the script came with the first component; on a page with the tag, the tag's launcher stays. */
let isScriptOurs = false;
let addresses = "";

function currentBaton(): Baton | undefined {
  const found: unknown = Object.hasOwn(window, "Baton") && Reflect.get(window, "Baton");
  return found && typeof (found as Baton).init === "function" ? (found as Baton) : undefined;
}

/** Resolves with `window.Baton`, or with nothing where the service cannot be reached: the next mount tries again. */
function loadScript(apiUrl: string): Promise<Baton | undefined> {
  const baton = currentBaton();
  if (baton) return Promise.resolve(baton);
  const src = `${apiUrl.replace(/\/+$/, "")}/widget.js`;
  let script = scripts.get(src);
  if (!script) {
    script = new Promise((resolve) => {
      const element = document.createElement("script");
      element.src = src;
      element.onload = () => resolve(currentBaton());
      element.onerror = () => {
        console.warn(`Baton: ${src} could not be loaded`);
        scripts.delete(src);
        element.remove();
        resolve(undefined);
      };
      isScriptOurs = true;
      showLauncher();
      document.head.append(element);
    });
    scripts.set(src, script);
  }
  return script;
}

let launcherSheet: CSSStyleSheet | undefined;

/** Where only inline chats are mounted, there is no button in the corner. */
function showLauncher(): void {
  const sheet = (launcherSheet ??= new CSSStyleSheet());
  sheet.replaceSync(
    isScriptOurs && !launcher ? "baton-widget::part(launcher) { display: none }" : "",
  );
  if (!document.adoptedStyleSheets.includes(sheet))
    document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
}

/** Every option, those that are not set as `undefined`, so that one that was taken away is not kept. */
function allOptions(options: ChatOptions): Record<string, unknown> {
  return Object.fromEntries(OPTION_NAMES.map((name) => [name, options[name]]));
}

/** Calls `use` when the script is there, unless the chat was unmounted meanwhile; calls stay in their order. */
function whenLoaded(owner: object, apiUrl: string): (use: (baton: Baton) => void) => void {
  const loaded = loadScript(apiUrl);
  return (use) =>
    void loaded.then((baton) => {
      if (baton && mounted.has(owner)) use(baton);
    });
}

/** The launcher in the corner and its panel. */
export function mountLauncher(options: ChatOptions, events: ChatEvents): MountedChat {
  const stops: (() => void)[] = [];
  let isOpen = false;
  const setOpen = (open: boolean): void => {
    // A panel that is built anew opens once more, which is no news.
    if (open === isOpen) return;
    isOpen = open;
    if (open) events.open();
    else events.close();
  };
  const chat: MountedChat = {
    open: () => run((baton) => baton.open()),
    close: () => run((baton) => baton.close()),
    end: () => run((baton) => baton.end()),
    identify: (token) => run((baton) => baton.identify(token)),
    reset: () => run((baton) => baton.reset()),
    update: (changed) =>
      run((baton) => {
        if (launcher === chat) baton.init(allOptions(changed));
      }),
    unmount() {
      mounted.delete(chat);
      for (const stop of stops) stop();
      if (launcher !== chat) return;
      launcher = undefined;
      showLauncher();
      const baton = currentBaton();
      // What is open would open again with the next widget.
      if (isOpen) baton?.close();
      if (!mounted.size) baton?.destroy();
    },
  };
  mounted.add(chat);
  launcher = chat;
  showLauncher();
  const run = whenLoaded(chat, options.apiUrl);
  run((baton) => {
    stops.push(
      baton.on("open", () => setOpen(true)),
      baton.on("close", () => setOpen(false)),
      baton.on("message", events.message),
      baton.on("session", events.session),
    );
  });
  chat.update(options);
  return chat;
}

/** The conversation without a launcher, in a `<baton-chat>` whose attributes hold the options. */
export function mountInline(
  element: HTMLElement,
  options: ChatOptions,
  events: ChatEvents,
): MountedChat {
  const tell = ({ type, detail }: CustomEventInit & { type: string }): void =>
    type === "baton-message"
      ? events.message(detail as ChatMessage)
      : events.session(detail as ChatSession);
  const chat: MountedChat = {
    open: () => run(() => element.focus()),
    close() {},
    end: () => run(() => (element as ChatElement).end?.()),
    identify: (token) => run((baton) => baton.identify(token)),
    reset: () => run((baton) => baton.reset()),
    update: ({ apiUrl, chatUrl }) =>
      run((baton) => {
        const next = JSON.stringify([apiUrl, chatUrl]);
        if (next === addresses) return baton.init();
        addresses = next;
        baton.init(chatUrl === undefined ? { apiUrl } : { apiUrl, chatUrl });
      }),
    unmount() {
      mounted.delete(chat);
      element.removeEventListener("baton-message", tell);
      element.removeEventListener("baton-session", tell);
      if (!mounted.size && isScriptOurs) currentBaton()?.destroy();
    },
  };
  mounted.add(chat);
  element.addEventListener("baton-message", tell);
  element.addEventListener("baton-session", tell);
  const run = whenLoaded(chat, options.apiUrl);
  chat.update(options);
  return chat;
}
