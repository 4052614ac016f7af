/** The panel of the pasted widget: a dialog beside the launcher that the loader drew. */
import { loadLocale, language } from "../locales/i18n";
import { setChunkLoader } from "../client/lazy-chunks";
import { asHex, isDark, themeSheet, watchTheme } from "../theme/theme";
import type { Conversation, Message, Options } from "../types";
import { BatonChat } from "./chat";
import { panelSheet } from "./panel.styles";

export interface Panel {
  open(): void;
  close(): void;
  toggle(): void;
  /** Opens the panel and asks whether to end the chat. */
  end(): void;
  /** Shows changed options: words, colours and language. */
  update(options: Options): void;
  destroy(): void;
  isOpen(): boolean;
}

const SMALL = "(max-width: 520px), (max-height: 460px)";

/** The parts of the chat that a page may style through baton-widget::part(). */
const PARTS =
  "header,title,menu,log,greeting,suggestion,message,message-user,message-assistant,message-system,text,text-user,text-assistant," +
  "code,chip,source,footer,dock,notice,composer,input,send,button,dialog";

/** `ready`: what the first rendering waits for. */
export function mountPanel(
  host: HTMLElement,
  conversation: Conversation,
  options: Options,
  ready?: Promise<unknown>,
): Panel {
  setChunkLoader((file) => import(new URL(file, import.meta.url).href));
  const root = host.shadowRoot ?? host.attachShadow({ mode: "open" });
  const launcher = root.querySelector<HTMLButtonElement>("[part~=launcher]");
  let words = language(options.lang);
  const chat = new BatonChat();
  Object.assign(chat, { conversation, ready, variant: "panel", onClose: () => close() });
  chat.setAttribute("exportparts", PARTS);
  const panel = document.createElement("div");
  const attributes = { role: "dialog", part: "panel", tabindex: "-1", hidden: "" };
  for (const [name, value] of Object.entries(attributes)) panel.setAttribute(name, value);
  panel.className = "panel";
  if (options.position === "bottom-left") panel.classList.add("left");
  setOffset(panel, options.offset ?? "");
  if ("popover" in panel) panel.popover = "manual"; // the top layer: above any z-index of the page
  panel.append(chat);
  root.append(panel);

  const small = matchMedia(SMALL);
  let before: HTMLElement | null = null;
  let isOpen = false;

  const paint = (): void => {
    const theme = themeSheet(asHex(options.color, chat), isDark(options.theme));
    const kept = root.adoptedStyleSheets.filter(
      (sheet) => sheet !== shown && sheet !== panelSheet(),
    );
    root.adoptedStyleSheets = [...kept, panelSheet(), theme];
    shown = theme;
  };
  let shown: CSSStyleSheet | undefined;
  const fit = (): void => {
    chat.compact = small.matches;
    panel.classList.toggle("full", small.matches);
    launcher?.classList.toggle("covered", isOpen && small.matches);
    const view = window.visualViewport;
    // Above the keyboard: the part of the screen that is left, wherever the browser has scrolled it.
    const keyboard =
      small.matches && view && view.scale < 1.05 && window.innerHeight - view.height > 60;
    panel.style.setProperty("--_h", keyboard ? `${view.height}px` : "100dvh");
    panel.style.setProperty("--_top", keyboard ? `${view.offsetTop}px` : "0px");
  };
  const label = (): void => {
    panel.setAttribute("aria-label", options.title || words.t("title"));
    panel.lang = words.tag;
    panel.dir = words.dir;
    if (!launcher) return;
    launcher.setAttribute("aria-label", words.t(isOpen ? "launcher.close" : "launcher.open"));
    launcher.classList.toggle("open", isOpen);
  };
  const unread = countUnread(
    conversation,
    () => isOpen,
    (n) => badge(launcher, n ? words.t("launcher.unread", { n }) : "", n),
  );

  function open(): void {
    if (isOpen) return;
    isOpen = true;
    before = deepFocus();
    paint();
    fit();
    panel.hidden = false;
    if (panel.popover && !panel.matches(":popover-open")) panel.showPopover();
    label();
    unread.clear();
    void chat.updateComplete.then(() =>
      matchMedia("(pointer: coarse)").matches ? panel.focus() : chat.focus(),
    );
    host.dispatchEvent(new CustomEvent("baton-open", { bubbles: true }));
  }
  function close(): void {
    if (!isOpen) return;
    isOpen = false;
    const inside = root.activeElement !== null && panel.contains(root.activeElement);
    if (panel.popover && panel.matches(":popover-open")) panel.hidePopover();
    panel.hidden = true;
    fit();
    label();
    if (inside) (before?.isConnected && before !== document.body ? before : launcher)?.focus();
    host.dispatchEvent(new CustomEvent("baton-close", { bubbles: true }));
  }
  const toggle = (): void => (isOpen ? close() : open());
  const stopClosing = closeAfterEnd(conversation, () => options.onEnd === "close", close);
  const escape = (event: KeyboardEvent): void => {
    if (event.key !== "Escape" || event.defaultPrevented || !isOpen) return;
    event.stopPropagation();
    close();
  };

  const view = window.visualViewport;
  const stopWatching = watchTheme(paint);
  const listening = new AbortController();
  const on = (
    target: EventTarget | null | undefined,
    kind: string,
    listener: (event: never) => void,
  ) => target?.addEventListener(kind, listener as EventListener, { signal: listening.signal });
  on(launcher, "click", toggle);
  on(panel, "keydown", escape);
  on(launcher, "keydown", escape);
  on(small, "change", fit);
  on(view, "resize", fit);
  on(view, "scroll", fit);
  // A modal dialog of the page takes back any focus outside of it, and some pages forbid to select and copy: not here.
  const hide = (event: Event) => {
    const { target } = event;
    if (target === host || target instanceof BatonChat) event.stopImmediatePropagation();
  };
  for (const kind of ["focus", "focusin", "selectstart", "copy", "cut", "paste", "contextmenu"])
    addEventListener(kind, hide, { capture: true, signal: listening.signal });
  fit();
  const update = (changed: Options): void => {
    chat.options = options = changed;
    paint();
    label();
    void loadLocale(options.lang).then(() => {
      words = language(options.lang);
      label();
    });
  };
  update(options);

  return {
    update,
    open,
    close,
    toggle,
    end(): void {
      open();
      chat.end();
    },
    destroy(): void {
      close();
      unread.stop();
      stopClosing();
      stopWatching();
      listening.abort();
      panel.remove();
    },
    isOpen: () => isOpen,
  };
}

const CLOSE_MS = 2_000;

/** Closes the panel a moment after a chat that was going on has ended, unless another has begun. */
function closeAfterEnd(
  conversation: Conversation,
  wanted: () => boolean,
  close: () => void,
): () => void {
  let { status } = conversation.state,
    timer: ReturnType<typeof setTimeout> | undefined;
  const stop = conversation.subscribe(() => {
    const before = status;
    ({ status } = conversation.state);
    if (status === before) return;
    clearTimeout(timer);
    if (status === "ended" && before !== "none" && !conversation.state.loading && wanted())
      timer = setTimeout(close, CLOSE_MS);
  });
  return () => {
    clearTimeout(timer);
    stop();
  };
}

/** `offset`: one or two lengths in pixels, from the side and from the bottom. */
function setOffset({ style }: HTMLElement, offset: string): void {
  const [x, y] = offset
    .split(",")
    .map((part) => (/^\s*\d{1,4}\s*$/.test(part) ? `${part.trim()}px` : ""));
  if (x) style.setProperty("--_x", x);
  if (x || y) style.setProperty("--_y", (y || x)!);
}

/** The element with the focus, also inside open shadow roots; the body counts as none. */
function deepFocus(): HTMLElement | null {
  let element = document.activeElement;
  while (element?.shadowRoot?.activeElement) element = element.shadowRoot.activeElement;
  return element instanceof HTMLElement && element !== document.body ? element : null;
}

function badge(launcher: HTMLButtonElement | null, words: string, n: number): void {
  if (!launcher) return;
  launcher.querySelector(".badge")?.remove();
  if (!n) return launcher.removeAttribute("aria-description");
  const mark = document.createElement("span");
  mark.className = "badge";
  mark.setAttribute("part", "badge");
  mark.setAttribute("aria-hidden", "true");
  mark.textContent = n > 9 ? "9+" : String(n);
  launcher.append(mark);
  launcher.setAttribute("aria-description", words);
}

/** Counts answers that end while nobody looks, on the launcher and in the title of the page. */
function countUnread(
  conversation: Conversation,
  looking: () => boolean,
  show: (n: number) => void,
): { clear(): void; stop(): void } {
  let seen: readonly Message[] = conversation.state.messages;
  let n = 0;
  let own = "";
  const title = (): void => {
    const now = document.title;
    const plain = now === own ? now.replace(/^\(\d+\) /, "") : now;
    if (n || own) document.title = n ? `(${n}) ${plain}` : plain;
    own = n ? document.title : "";
  };
  const changed = (): void => {
    const now = conversation.state.messages;
    if (now === seen) return;
    const last = seen[seen.length - 1];
    const same = (m: Message): boolean =>
      m.id === last?.id || (!!m.client_id && m.client_id === last?.client_id);
    const from = last ? now.findIndex(same) : -1;
    seen = now;
    if (looking() || from < 0 || conversation.state.loading) return;
    const fresh = now.slice(from + 1).filter((m) => m.role !== "user").length;
    if (!fresh) return;
    n += fresh;
    show(n);
    title();
  };
  const stop = conversation.subscribe(changed);
  const clear = (): void => {
    n = 0;
    show(0);
    title();
  };
  return { clear, stop: () => (clear(), stop()) };
}
