/** `<baton-chat>`: the conversation alone, the same in the panel and on the full page. */
import { nothing, render } from "lit/html.js";
import { sheet } from "../theme/stylesheet";
import { loadLocale, language, type Language } from "../locales/i18n";
import { getChunk, loadChunk } from "../client/lazy-chunks";
import { asHex, isDark, themeSheet, watchTheme } from "../theme/theme";
import type { Conversation, Options, State } from "../types";
import { chatStyles } from "./chat.styles";
import { chatView } from "./chat-view";
import { autoGrow } from "./composer";
import { ChatController } from "./chat-controller";
import type { DialogKind } from "./dialog";
import type { MessageList } from "./message-list";
import type { MessageHost } from "./message";

type Aside = typeof import("./sources");
type MessagesChunk = typeof import("../messages.chunk");
type PeopleChunk = typeof import("../people.chunk");

const PROPERTIES = ["conversation", "options", "variant", "compact"] as const;

export class BatonChat extends HTMLElement implements MessageHost {
  declare conversation: Conversation | undefined;
  declare options: Options;
  declare variant: "panel" | "page";
  /** The panel fills the screen: its close button then is the only one. */
  declare compact: boolean;
  /** Gives a conversation to an element that a page wrote by itself, and takes it back. */
  static standalone: Record<"connected" | "disconnected", (chat: BatonChat) => void> | undefined;
  /** The element that sent last: a text that could not be sent goes back to this one alone. */
  static lastSender: BatonChat | undefined;
  /** What the first rendering waits for. */
  ready: Promise<unknown> | undefined;
  /** Set by the panel: how to close it. */
  onClose: (() => void) | undefined;

  words: Language = language();
  menu = false;
  dialog: DialogKind | null = null;
  /** What the visitor just did, said for a few seconds. */
  toast = "";
  /** An address that the browser did not let us open by ourselves. */
  blockedPopupUrl = "";
  messageList: MessageList | undefined;
  readonly controller = new ChatController(this);

  readonly #values: Record<string, unknown> = { options: {}, variant: "panel", compact: false };
  readonly #root = this.attachShadow({ mode: "open" });
  #shownConversation: Conversation | undefined;
  #unsubscribe: (() => void) | undefined;
  #unwatch: (() => void) | undefined;
  #updated: Promise<void> = Promise.resolve();
  #pending = false;
  #styleDirty = true;
  #frame = 0;
  #lastDraftNumber = 0;
  #empty = true;
  /** The first message when older ones were asked for. */
  #oldest: string | undefined;
  /** Enter was pressed while an answer is being written: the text goes out when that is done. */
  #sendWhenIdle = false;
  #toastTimer: ReturnType<typeof setTimeout> | undefined;
  #dialogOpener: HTMLElement | null = null;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;

  static {
    for (const name of PROPERTIES) {
      Object.defineProperty(this.prototype, name, {
        get(this: BatonChat) {
          return this.#values[name];
        },
        set(this: BatonChat, value: unknown) {
          this.#values[name] = value;
          this.#onPropertyChange(name);
        },
      });
    }
  }

  constructor() {
    super();
    // Properties set before this class was there hide its accessors: take them over.
    for (const name of PROPERTIES) {
      if (!Object.hasOwn(this, name)) continue;
      const value: unknown = this[name];
      delete this[name];
      Object.assign(this, { [name]: value });
    }
  }

  connectedCallback(): void {
    this.#unwatch = watchTheme(() => this.applyTheme());
    if (!this.conversation) BatonChat.standalone?.connected(this);
    this.#onPropertyChange("conversation");
  }

  disconnectedCallback(): void {
    this.#unwatch?.();
    this.#unsubscribe?.();
    this.#unsubscribe = undefined;
    for (const timer of [this.#toastTimer, this.#retryTimer]) clearTimeout(timer);
    BatonChat.standalone?.disconnected(this);
  }

  /** Resolves when what is known now is on the screen. */
  get updateComplete(): Promise<void> {
    return this.#updated;
  }

  get field(): HTMLTextAreaElement | null {
    return this.#root.querySelector("textarea");
  }
  get state(): State | undefined {
    return this.conversation?.state;
  }
  /** What shows people, where they answer and it has been fetched. */
  get people(): PeopleChunk | undefined {
    return this.options.people || this.state?.handler ? getChunk("people") : undefined;
  }
  tail(state: State): { key: string; node: Node } | undefined {
    return this.people?.peopleTail(state, this);
  }

  #onPropertyChange(name: string): void {
    if (!this.isConnected) return;
    this.#styleDirty = true;
    if (name === "conversation") {
      this.#unsubscribe?.();
      this.#unsubscribe = this.conversation?.subscribe(() => this.#scheduleUpdate());
    }
    this.requestUpdate();
  }

  /** At most one rendering a frame, however fast the words come; a hidden tab has no frames. */
  #scheduleUpdate(): void {
    if (this.#frame) return;
    const run = (): void => {
      clearTimeout(fallback);
      cancelAnimationFrame(this.#frame);
      this.#frame = 0;
      this.requestUpdate();
    };
    const fallback = setTimeout(run, 120);
    this.#frame = requestAnimationFrame(run);
  }

  requestUpdate(): void {
    if (this.#pending) return;
    this.#pending = true;
    this.#updated = Promise.resolve().then(async () => {
      await this.ready;
      await loadLocale(this.options.lang);
      this.#pending = false;
      if (this.isConnected) this.#update();
    });
  }

  #update(): void {
    const state = this.state;
    if (!state) {
      render(nothing, this.#root);
      this.#shownConversation = this.messageList = undefined;
      return;
    }
    this.words = language(this.options.lang);
    this.setAttribute("variant", this.variant);
    if (this.#styleDirty) this.applyTheme();
    const stop = this.#root.activeElement?.matches("[type=button].send-button");
    render(chatView(this, state), this.#root);
    if (stop && !this.#root.activeElement) this.focusQuietly();
    if (this.#shownConversation !== this.conversation) this.#attachConversation();
    this.messageList?.update(state);
    this.#restoreReturnedDraft(state);
    if (this.field) autoGrow(this.field);
    if (state.messages.length || state.waiting) this.#loadMessageList();
    this.#loadWhole(state);
    this.#loadPeople(state);
    if (!this.#sendWhenIdle || state.answering || state.waiting) return;
    this.#sendWhenIdle = false;
    if (!state.canRetry && this.field) this.send(this.field.value);
  }

  #loadPeople({ handler }: State): void {
    if (this.people) return void this.conversation!.people;
    if (!this.options.people && !handler) return;
    void loadChunk("people").then((there) => {
      this.#styleDirty = there;
      if (there) this.requestUpdate();
    });
  }

  /** The full page has the whole conversation, for searching and printing; a page that does not come is not asked for again. */
  #loadWhole({ messages, hasOlder, loading }: State): void {
    if (__WIDGET__ || this.variant !== "page") return;
    if (!hasOlder || loading || messages[0]?.id === this.#oldest) return;
    this.#oldest = messages[0]?.id;
    void this.conversation!.loadOlder();
  }

  #attachConversation(): void {
    this.#shownConversation = this.conversation;
    this.messageList = undefined;
    this.#find("#messages").replaceChildren();
    if (this.field) this.field.value = this.conversation!.draft;
    this.#mountMessageList();
  }

  #mountMessageList(): void {
    const chunk = getChunk<MessagesChunk>("messages");
    if (!chunk) return;
    this.#styleDirty = true;
    this.messageList = new chunk.MessageList(
      this.#find("#log"),
      this.#find("#messages"),
      this,
      new chunk.LiveRegionAnnouncer(this.#find("#live")),
      () => this.requestUpdate(),
    );
    this.requestUpdate();
  }

  #find(selector: string): HTMLElement {
    return this.#root.querySelector<HTMLElement>(selector)!;
  }

  /** The list of messages is fetched when there is, or will soon be, something to show in it. */
  #loadMessageList(): void {
    if (this.messageList) return;
    void loadChunk("messages").then((there) => {
      if (there && !this.messageList && this.#shownConversation) this.#mountMessageList();
      else if (!there)
        this.#retryTimer ??= setTimeout(
          () => ((this.#retryTimer = undefined), this.#loadMessageList()),
          3000,
        );
    });
  }

  /** Text that could not be sent comes back into the composer, before what was typed meanwhile. */
  #restoreReturnedDraft({ returnedDraft }: State): void {
    const { field } = this;
    if (!returnedDraft || returnedDraft.n <= this.#lastDraftNumber || !field) return;
    const { n, text, next } = returnedDraft;
    this.#lastDraftNumber = n;
    if (BatonChat.lastSender?.isConnected && BatonChat.lastSender !== this) return;
    if (field.value !== text) field.value = [text, field.value].filter(Boolean).join("\n");
    this.conversation!.draft = field.value;
    if (next && field.value === text) this.#queueDraft();
    else this.requestUpdate();
  }

  #queueDraft(): void {
    this.#sendWhenIdle = true;
    this.showToast("notice.next");
  }

  /** Puts on the style sheets; the colours come from `options` and from what is around. */
  applyTheme(): void {
    this.#styleDirty = false;
    const theme = themeSheet(asHex(this.options.color, this), isDark(this.options.theme));
    const texts = [
      chatStyles,
      ...(getChunk<MessagesChunk>("messages")?.messagesStyles ?? []),
      getChunk<Aside>("aside")?.asideStyles ?? "",
      this.people?.peopleStyles ?? "",
    ];
    const wanted = [...texts.filter(Boolean).map(sheet), theme];
    const now = this.#root.adoptedStyleSheets;
    if (wanted.length !== now.length || wanted.some((one, i) => one !== now[i]))
      this.#root.adoptedStyleSheets = wanted;
  }

  override focus(): void {
    (this.field ?? this.#root.querySelector<HTMLElement>("#log"))?.focus();
  }

  /** Where the composer would open a keyboard over what there is to read, the log has the focus. */
  focusQuietly(): void {
    const typing =
      !matchMedia("(pointer: coarse)").matches || this.#root.activeElement === this.field;
    (typing ? this : this.#find("#log")).focus();
  }

  /** Asks whether to end the chat, as its button does. */
  end(): void {
    void this.controller.askToEnd();
  }

  showToast(key: string): void {
    clearTimeout(this.#toastTimer);
    this.toast = this.words.t(key);
    this.requestUpdate();
    this.#toastTimer = setTimeout(() => {
      this.toast = "";
      this.requestUpdate();
    }, 7000);
  }

  offerBlockedPage(url: string): void {
    this.blockedPopupUrl = url;
    this.requestUpdate();
  }
  toggleMenu(open: boolean): void {
    this.menu = open;
    this.requestUpdate();
  }

  retry(clientId: string | undefined): void {
    void this.conversation?.retry(clientId);
    this.focusQuietly();
  }

  async rate(id: string, rating: "up" | "down" | null, comment?: string): Promise<boolean> {
    try {
      await this.conversation!.feedback(id, rating, comment);
      return true;
    } catch {
      this.showToast("rate.failed");
      return false;
    }
  }

  /** Asks before ending or deleting, or shows a link; focus comes back to where it was. */
  async openDialog(kind: DialogKind): Promise<void> {
    this.menu = false;
    this.#dialogOpener = this.#root.activeElement as HTMLElement | null;
    if (!(await loadChunk("messages"))) return this.requestUpdate();
    this.dialog = kind;
    this.#styleDirty = true;
    this.requestUpdate();
    void this.updateComplete.then(() => {
      const first = this.#root.querySelector<HTMLElement>("[role=dialog] [data-first]");
      first?.focus();
      if (first instanceof HTMLInputElement) first.select();
    });
  }

  closeDialog(): void {
    this.dialog = null;
    this.requestUpdate();
    const back =
      this.#dialogOpener?.isConnected && this.#dialogOpener.offsetParent
        ? this.#dialogOpener
        : null;
    void this.updateComplete.then(() =>
      (back ?? this.#root.querySelector<HTMLElement>("#more") ?? this).focus(),
    );
  }

  /** `suggested`: what stands in the composer stays there. */
  send(text: string, suggested = false): void {
    const state = this.state;
    if (!state || !text.trim() || state.wait > 0) return;
    if (state.answering || state.waiting) return suggested ? undefined : this.#queueDraft();
    if (!suggested) {
      this.field!.value = "";
      this.conversation!.draft = "";
      this.#empty = true;
    }
    this.blockedPopupUrl = "";
    BatonChat.lastSender = this;
    this.messageList?.scroller.follow("question");
    this.#loadMessageList();
    void this.conversation!.send(text);
    this.requestUpdate();
    if (suggested) this.focusQuietly();
    else this.focus();
  }

  onInput(text: string): void {
    this.#sendWhenIdle = false;
    this.conversation!.draft = text;
    if (text.trim()) this.conversation!.people?.typing();
    this.#loadMessageList();
    if (!text.trim() !== this.#empty) this.requestUpdate();
    else if (this.field) autoGrow(this.field);
    this.#empty = !text.trim();
  }

  onKey(event: KeyboardEvent): void {
    // What is typed here is none of the page's shortcuts; an Escape that means nothing here goes on to the panel.
    const mine = event.type === "keydown" && event.key === "Escape" && (this.dialog || this.menu);
    if (mine || !this.onClose || event.key !== "Escape") event.stopPropagation();
    if (!mine) return;
    event.preventDefault();
    if (this.dialog) return this.closeDialog();
    this.toggleMenu(false);
    this.#root.querySelector<HTMLElement>("#more")?.focus();
  }
}

// Where somebody else has defined the element, the panel's own has another name.
const taken = customElements.get("baton-chat");
if (taken) console.warn("Baton: <baton-chat> is defined already");
customElements.define(taken ? `baton-chat-${Date.now()}` : "baton-chat", BatonChat);
