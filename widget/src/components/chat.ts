/** `<baton-chat>`: the conversation alone, the same in the panel and on the full page. */
import { nothing, render } from "lit/html.js";
import { sheet } from "../theme/stylesheet";
import { fetchWords, language, type Language } from "../locales/i18n";
import { part, want } from "../client/lazy-chunks";
import { asHex, isDark, themeSheet, watchTheme } from "../theme/theme";
import type { Conversation, Options, State } from "../types";
import { chatStyles } from "./chat.styles";
import { chatView } from "./chat-view";
import { grow } from "./composer";
import { Deeds } from "./chat-controller";
import type { Ask } from "./dialog";
import type { LogView } from "./message-list";
import type { Desk } from "./message";

type Aside = typeof import("./sources");
type Talk = typeof import("../messages.chunk");

const PROPERTIES = ["conversation", "options", "variant", "compact"] as const;

export class BatonChat extends HTMLElement implements Desk {
  declare conversation: Conversation | undefined;
  declare options: Options;
  declare variant: "panel" | "page";
  /** The panel fills the screen: its close button then is the only one. */
  declare compact: boolean;
  /** Gives a conversation to an element that a page wrote by itself. */
  static alone: ((chat: BatonChat) => void) | undefined;
  /** Who asked last: a text that could not be sent comes back to it alone. */
  static speaker: BatonChat | undefined;
  /** Set by the panel: how to close it. */
  dismiss: (() => void) | undefined;

  words: Language = language();
  menu = false;
  asking: Ask | null = null;
  /** What the visitor just did, said for a few seconds. */
  said = "";
  /** An address that the browser did not let us open by ourselves. */
  held = "";
  log: LogView | undefined;
  readonly deeds = new Deeds(this);

  private readonly given: Record<string, unknown> = { options: {}, variant: "panel", compact: false };
  private readonly root = this.attachShadow({ mode: "open" });
  private shown: Conversation | undefined;
  private unsubscribe: (() => void) | undefined;
  private unwatch: (() => void) | undefined;
  private settled: Promise<void> = Promise.resolve();
  private pending = false;
  private stale = true;
  private frame = 0;
  private taken = 0;
  private empty = true;
  /** Enter was pressed while an answer is being written: the text goes out when that is done. */
  private next = false;
  private quiet: ReturnType<typeof setTimeout> | undefined;
  private asked: HTMLElement | null = null;
  private retalk: ReturnType<typeof setTimeout> | undefined;

  static {
    for (const name of PROPERTIES) {
      Object.defineProperty(this.prototype, name, {
        get(this: BatonChat) { return this.given[name]; },
        set(this: BatonChat, value: unknown) {
          this.given[name] = value;
          this.took(name);
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
    this.unwatch = watchTheme(() => this.paint());
    if (!this.conversation) BatonChat.alone?.(this);
    this.took("conversation");
  }

  disconnectedCallback(): void {
    this.unwatch?.();
    this.unsubscribe?.();
    this.unsubscribe = undefined;
    for (const timer of [this.quiet, this.retalk]) clearTimeout(timer);
  }

  /** Resolves when what is known now is on the screen. */
  get updateComplete(): Promise<void> { return this.settled; }

  get field(): HTMLTextAreaElement | null { return this.root.querySelector("textarea"); }
  get state(): State | undefined { return this.conversation?.state; }
  private took(name: string): void {
    if (!this.isConnected) return;
    this.stale = true;
    if (name === "conversation") {
      this.unsubscribe?.();
      this.unsubscribe = this.conversation?.subscribe(() => this.soon());
    }
    this.requestUpdate();
  }

  /** At most one rendering a frame, however fast the words come; a hidden tab has no frames. */
  private soon(): void {
    if (this.frame) return;
    const run = (): void => {
      clearTimeout(fallback);
      cancelAnimationFrame(this.frame);
      this.frame = 0;
      this.requestUpdate();
    };
    const fallback = setTimeout(run, 120);
    this.frame = requestAnimationFrame(run);
  }

  requestUpdate(): void {
    if (this.pending) return;
    this.pending = true;
    this.settled = Promise.resolve().then(async () => {
      await fetchWords(this.options.lang);
      this.pending = false;
      if (this.isConnected) this.update();
    });
  }

  private update(): void {
    const state = this.state;
    if (!state) { render(nothing, this.root); this.shown = this.log = undefined; return; }
    this.words = language(this.options.lang);
    this.setAttribute("variant", this.variant);
    if (this.stale) this.paint();
    const stop = this.root.activeElement?.matches("[type=button].go");
    render(chatView(this, state), this.root);
    if (stop && !this.root.activeElement) this.focus();
    if (this.shown !== this.conversation) this.begin();
    this.log?.update(state);
    this.takeBack(state);
    if (this.field) grow(this.field);
    if (state.messages.length || state.waiting) this.fetchTalk();
    if (!this.next || state.answering || state.waiting) return;
    this.next = false;
    if (!state.canRetry && this.field) this.send(this.field.value);
  }

  private begin(): void {
    this.shown = this.conversation;
    this.log = undefined;
    this.find("#messages").replaceChildren();
    if (this.field) this.field.value = this.conversation!.draft;
    this.mountLog();
  }

  private mountLog(): void {
    const talk = part<Talk>("talk");
    if (!talk) return;
    this.stale = true;
    this.log = new talk.LogView(this.find("#log"), this.find("#messages"), this, new talk.Announcer(this.find("#live")), () => this.requestUpdate());
    this.requestUpdate();
  }

  private find(selector: string): HTMLElement { return this.root.querySelector<HTMLElement>(selector)!; }

  /** The list of messages is fetched when there is, or will soon be, something to show in it. */
  private fetchTalk(): void {
    if (this.log) return;
    void want("talk").then((there) => {
      if (there && !this.log && this.shown) this.mountLog();
      else if (!there) this.retalk ??= setTimeout(() => ((this.retalk = undefined), this.fetchTalk()), 3000);
    });
  }

  /** Text that could not be sent comes back into the composer, before what was typed meanwhile. */
  private takeBack(state: State): void {
    if (!state.putBack || state.putBack.n <= this.taken || !this.field) return;
    this.taken = state.putBack.n;
    if (BatonChat.speaker?.isConnected && BatonChat.speaker !== this) return;
    const typed = this.field.value;
    this.field.value = typed && typed !== state.putBack.text ? `${state.putBack.text}\n${typed}` : state.putBack.text;
    this.conversation!.draft = this.field.value;
    if (state.putBack.next && this.field.value === state.putBack.text) this.later();
    else this.requestUpdate();
  }

  private later(): void {
    this.next = true;
    this.tell("notice.next");
  }

  /** Puts on the style sheets; the colours come from `options` and from what is around. */
  paint(): void {
    this.stale = false;
    const theme = themeSheet(asHex(this.options.color, this), isDark(this.options.theme));
    const texts = [chatStyles, ...(part<Talk>("talk")?.talkStyles ?? []), part<Aside>("aside")?.asideStyles ?? ""];
    const wanted = [...texts.filter(Boolean).map(sheet), theme];
    const now = this.root.adoptedStyleSheets;
    if (wanted.length !== now.length || wanted.some((one, i) => one !== now[i])) this.root.adoptedStyleSheets = wanted;
  }

  override focus(): void { (this.field ?? this.root.querySelector<HTMLElement>("#log"))?.focus(); }

  tell(key: string): void {
    clearTimeout(this.quiet);
    this.said = this.words.t(key);
    this.requestUpdate();
    this.quiet = setTimeout(() => {
      this.said = "";
      this.requestUpdate();
    }, 7000);
  }

  hold(url: string): void { this.held = url; this.requestUpdate(); }
  expand(open: boolean): void {
    this.menu = open;
    this.requestUpdate();
  }

  retry(clientId: string | undefined): void {
    void this.conversation?.retry(clientId);
    this.focus();
  }

  async rate(id: string, rating: "up" | "down" | null, comment?: string): Promise<boolean> {
    try {
      await this.conversation!.feedback(id, rating, comment);
      return true;
    } catch {
      this.tell("rate.failed");
      return false;
    }
  }

  /** Asks before ending or deleting, or shows a link; focus comes back to where it was. */
  async ask(what: Ask): Promise<void> {
    this.menu = false;
    this.asked = this.root.activeElement as HTMLElement | null;
    if (!await want("talk")) return this.requestUpdate();
    this.asking = what;
    this.requestUpdate();
    void this.updateComplete.then(() => this.root.querySelector<HTMLElement>("[role=dialog] [data-first]")?.focus());
  }

  answer(): void {
    this.asking = null;
    this.requestUpdate();
    const back = this.asked?.isConnected && this.asked.offsetParent ? this.asked : null;
    void this.updateComplete.then(() => (back ?? this.root.querySelector<HTMLElement>("#more") ?? this).focus());
  }

  /** `suggested`: what stands in the composer stays there. */
  send(text: string, suggested = false): void {
    const state = this.state;
    if (!state || !text.trim() || state.wait > 0) return;
    if (state.answering || state.waiting) return suggested ? undefined : this.later();
    if (!suggested) {
      this.field!.value = "";
      this.conversation!.draft = "";
      this.empty = true;
    }
    this.held = "";
    BatonChat.speaker = this;
    this.log?.follower.toEnd();
    this.fetchTalk();
    void this.conversation!.send(text);
    this.requestUpdate();
    this.focus();
  }

  typed(text: string): void {
    this.next = false;
    this.conversation!.draft = text;
    this.fetchTalk();
    if (!text.trim() !== this.empty) this.requestUpdate();
    else if (this.field) grow(this.field);
    this.empty = !text.trim();
  }

  pressed(event: KeyboardEvent): void {
    // What is typed here is none of the page's shortcuts; an Escape that means nothing here goes on to the panel.
    const mine = event.type === "keydown" && event.key === "Escape" && (this.asking || this.menu);
    if (mine || !this.dismiss || event.key !== "Escape") event.stopPropagation();
    if (!mine) return;
    event.preventDefault();
    if (this.asking) return this.answer();
    this.expand(false);
    this.root.querySelector<HTMLElement>("#more")?.focus();
  }
}

/** Registers the element once, however often the script is loaded. */
export const defineChat = (): void => { if (!customElements.get("baton-chat")) customElements.define("baton-chat", BatonChat); };
defineChat();
