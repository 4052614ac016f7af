/** `<baton-chat>`: the conversation alone, the same in the panel and on the full page. */
import { html, LitElement, nothing, type PropertyValues, type TemplateResult } from "lit";
import { language, type Language } from "../i18n";
import { asHex, isDark, themeSheet, watchTheme } from "../theme-sheet";
import type { Conversation, Options, State } from "../types";
import { Announcer } from "./announcer";
import { chatStyles } from "./chat-styles";
import { composer, grow, type ComposerParts } from "./composer";
import { dialog, type Ask } from "./dialog";
import { icon, mark } from "./icons";
import { LogView } from "./log";
import { actions } from "./menu";
import type { Desk } from "./message";
import { messageStyles } from "./message-styles";
import { lines } from "./notices";
import { aside } from "./sources";
import { Deeds } from "./deeds";

export class BatonChat extends LitElement implements Desk {
  static override styles = [chatStyles, messageStyles];
  static override properties = {
    conversation: { attribute: false }, options: { attribute: false }, variant: { reflect: true },
    compact: { attribute: false }, menu: { state: true }, asking: { state: true }, said: { state: true }, held: { state: true },
  };

  declare conversation: Conversation | undefined;
  declare options: Options;
  declare variant: "panel" | "page";
  /** The panel fills the screen: its close button then is the only one. */
  declare compact: boolean;
  declare menu: boolean;
  declare asking: Ask | null;
  /** What the visitor just did, said for a few seconds. */
  declare said: string;
  /** An address that the browser did not let us open by ourselves. */
  declare held: string;
  /** Set by the panel: how to close it. */
  dismiss: (() => void) | undefined;

  words: Language = language();
  readonly deeds = new Deeds(this);
  private log: LogView | undefined;
  private announcer: Announcer | undefined;
  private unsubscribe: (() => void) | undefined;
  private unwatch: (() => void) | undefined;
  private theme: CSSStyleSheet | undefined;
  private taken = 0;
  private frame = 0;
  private quiet: ReturnType<typeof setTimeout> | undefined;
  private asked: HTMLElement | null = null;

  constructor() {
    super();
    this.options = {};
    this.variant = "panel";
    this.compact = false;
    this.menu = false;
    this.asking = null;
    this.said = "";
    this.held = "";
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.unwatch = watchTheme(() => this.paint());
    if (this.conversation) this.listen();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.unwatch?.();
    this.unsubscribe?.();
    clearTimeout(this.quiet);
  }

  get state(): State | undefined {
    return this.conversation?.state;
  }

  private listen(): void {
    this.unsubscribe?.();
    this.unsubscribe = this.conversation?.subscribe(() => this.soon());
  }

  /** At most one rendering a frame, however fast the words come; a hidden tab has no frames. */
  private soon(): void {
    if (this.frame) return;
    const run = (): void => {
      clearTimeout(fallback);
      cancelAnimationFrame(frame);
      this.frame = 0;
      this.requestUpdate();
    };
    const fallback = setTimeout(run, 120);
    const frame = requestAnimationFrame(run);
    this.frame = frame || 1;
  }

  protected override willUpdate(changed: PropertyValues<this>): void {
    if (changed.has("options")) this.words = language(this.options.lang);
    if (changed.has("conversation") && this.isConnected) this.listen();
  }

  protected override updated(changed: PropertyValues<this>): void {
    if (changed.has("options")) this.paint();
    const state = this.state;
    if (!state || !this.renderRoot.querySelector("#log")) return;
    if (changed.has("conversation") || !this.log) this.mountLog();
    this.log!.update(state);
    this.takeBack(state);
    if (this.field) grow(this.field);
  }

  private mountLog(): void {
    const region = this.renderRoot.querySelector<HTMLElement>("#live")!;
    this.announcer ??= new Announcer(region);
    const box = this.renderRoot.querySelector<HTMLElement>("#messages")!;
    box.replaceChildren();
    this.log = new LogView(this.renderRoot.querySelector<HTMLElement>("#log")!, box, this, this.announcer, () => this.requestUpdate());
    if (this.field && this.conversation!.draft) this.field.value = this.conversation!.draft;
    this.requestUpdate();
  }

  /** Text that could not be sent comes back into the composer, before what was typed meanwhile. */
  private takeBack(state: State): void {
    if (!state.putBack || state.putBack.n <= this.taken || !this.field) return;
    this.taken = state.putBack.n;
    const typed = this.field.value;
    this.field.value = typed && typed !== state.putBack.text ? `${state.putBack.text}\n${typed}` : state.putBack.text;
    this.conversation!.draft = this.field.value;
    this.requestUpdate();
  }

  /** Puts the colours of `options` on this element. */
  paint(): void {
    const root = this.shadowRoot;
    if (!root) return;
    const theme = themeSheet(asHex(this.options.color, this), isDark(this.options.theme));
    root.adoptedStyleSheets = [...root.adoptedStyleSheets.filter((sheet) => sheet !== this.theme), theme];
    this.theme = theme;
  }

  get field(): HTMLTextAreaElement | null {
    return this.renderRoot?.querySelector("textarea") ?? null;
  }

  override focus(): void {
    (this.field && !this.field.readOnly ? this.field : this.renderRoot.querySelector<HTMLElement>("#log"))?.focus();
  }

  tell(key: string): void {
    clearTimeout(this.quiet);
    this.said = this.words.t(key);
    this.quiet = setTimeout(() => (this.said = ""), 7000);
  }

  retry(clientId: string | undefined): void {
    void this.conversation?.retry(clientId);
    this.focus();
  }

  async rate(id: string, rating: "up" | "down" | null, comment?: string): Promise<void> {
    try {
      await this.conversation!.feedback(id, rating, comment);
    } catch (problem) {
      this.tell("rate.failed");
      throw problem;
    }
  }

  /** Asks before ending or deleting, or shows a link; focus comes back to where it was. */
  ask(what: Ask): void {
    this.menu = false;
    this.asked = (this.renderRoot as ShadowRoot).activeElement as HTMLElement | null;
    this.asking = what;
    void this.updateComplete.then(() => this.renderRoot.querySelector<HTMLElement>("[role=dialog] [data-first]")?.focus());
  }

  answer(): void {
    this.asking = null;
    const back = this.asked?.isConnected && this.asked.offsetParent ? this.asked : null;
    void this.updateComplete.then(() => (back ?? this.renderRoot.querySelector<HTMLElement>("#more") ?? this).focus());
  }

  private send(text: string): void {
    const state = this.state;
    if (!state || !text.trim() || state.answering || state.waiting || state.wait > 0) return;
    const field = this.field!;
    field.value = "";
    this.conversation!.draft = "";
    if (this.log) this.log.follower.toEnd();
    this.held = "";
    void this.conversation!.send(text);
    this.requestUpdate();
    this.focus();
  }

  private typed(text: string): void {
    this.conversation!.draft = text;
    if (!text !== this.empty) this.requestUpdate();
    else if (this.field) grow(this.field);
    this.empty = !text;
  }
  private empty = true;

  private pressed(event: KeyboardEvent): void {
    if (event.key !== "Escape" || (!this.asking && !this.menu)) return;
    event.stopPropagation();
    event.preventDefault();
    if (this.asking) return this.answer();
    this.menu = false;
    this.renderRoot.querySelector<HTMLElement>("#more")?.focus();
  }

  protected override render(): TemplateResult | typeof nothing {
    const state = this.state;
    if (!state) return nothing;
    const { t, dir, tag } = this.words;
    const page = this.variant === "page";
    const parts: ComposerParts = {
      state, words: this.words, send: (text) => this.send(text), stop: () => void this.conversation!.stop(),
      typed: (text) => this.typed(text), draft: this.field?.value ?? this.conversation!.draft,
    };
    return html`<div class="chat" part="chat" dir=${dir} lang=${tag} @keydown=${this.pressed}>
      <div class="whole" ?inert=${!!this.asking} aria-hidden=${this.asking ? "true" : nothing}>
        ${this.header(page)}
        <div class="body">
          <div class="main">
            <div id="log" class="log" part="log" role="log" aria-live="off" aria-label=${t("log")} aria-busy=${String(state.loading)} tabindex="0">
              ${this.intro(state)} ${this.older(state)}
              <div id="messages" class="messages"></div>
            </div>
            <div class="dock">
              ${this.latest()} ${this.notices(state)} ${composer(parts)}
            </div>
          </div>
          ${page ? aside(state, this.words) : nothing}
        </div>
        <div id="live" class="unseen" aria-live="polite" aria-atomic="false"></div>
      </div>
      ${this.asking ? dialog(this.asking, this.words, this.deeds, () => this.answer()) : nothing}
    </div>`;
  }

  private header(page: boolean): TemplateResult {
    const t = this.words.t;
    const title = this.options.title || t("title");
    const closing = this.compact ? t("launcher.close") : t("panel.close");
    const tool = (name: string, sign: TemplateResult, press: () => void): TemplateResult =>
      html`<button type="button" class="tool" part="button" aria-label=${name} title=${name} @click=${press}>${sign}</button>`;
    return html`<header class="header" part="header">
      ${page && this.deeds.canGoBack() ? tool(t("back"), icon("back"), () => this.deeds.back()) : nothing}
      ${mark}
      ${page ? html`<h1 part="title"><bdi>${title}</bdi></h1>` : html`<h2 part="title"><bdi>${title}</bdi></h2>`}
      ${page ? nothing : tool(t("fullpage"), icon("page"), () => void this.deeds.openPage())}
      ${actions(this.menu, this.state!, this.words, this.deeds, (open) => (this.menu = open))}
      ${!page && this.dismiss ? tool(closing, icon("close"), () => this.dismiss!()) : nothing}
    </header>`;
  }

  private intro(state: State): TemplateResult | typeof nothing {
    if (state.loading) return html`<p class="loading"><span class="batons" aria-hidden="true"><i></i><i></i><i></i></span>${this.words.t("loading")}…</p>`;
    if (state.hasOlder) return nothing;
    const t = this.words.t;
    const begun = state.messages.length > 0 || state.waiting || !!state.answering;
    const greeting = this.options.greeting || t("greeting");
    const list = begun ? [] : (this.options.suggestions ?? []);
    return html`<div class=${begun ? "intro begun" : "intro"} part="greeting">
      <p class="greeting" dir="auto">${greeting}</p>
      ${begun || this.options.greeting ? nothing : html`<p class="more">${t("greeting.more")}</p>`}
      ${list.length ? html`<ul class="suggestions" aria-label=${t("suggestions")}>${list.map((text) => html`<li>
        <button type="button" part="suggestion" dir="auto" @click=${() => this.send(text)}>${text}</button></li>`)}</ul>` : nothing}
    </div>`;
  }

  private older(state: State): TemplateResult | typeof nothing {
    if (!state.hasOlder || state.loading) return nothing;
    return html`<div class="earlier"><button type="button" class="labelled" part="button"
      @click=${() => void this.conversation!.older()}>${this.words.t("earlier")}</button></div>`;
  }

  private latest(): TemplateResult | typeof nothing {
    if (!this.log || this.log.follower.following) return nothing;
    const unseen = this.log.unseen;
    return html`<button type="button" class=${unseen ? "latest news" : "latest"} part="button" aria-label=${this.words.t("words.new")}
      @click=${() => this.log!.follower.toEnd()}>${icon("latest")}${unseen ? this.words.t("words.new") : nothing}</button>`;
  }

  private notices(state: State): TemplateResult {
    const t = this.words.t;
    const renew = html`<button type="button" class="labelled" part="button" @click=${() => this.deeds.fresh()}>${t("new")}</button>`;
    return html`<div class="notices" role="status" part="notices">
      ${lines(state, this.words).map((line) => html`<div class="notice ${line.tone}" part="notice">
        <span aria-live=${line.counting ? "off" : nothing}>${line.text}</span>${line.renew ? renew : nothing}</div>`)}
      ${this.held ? html`<div class="notice info" part="notice"><span>${t("page.ready")}</span>
        <a class="labelled" href=${this.held} target="_blank" rel="noopener noreferrer" @click=${() => (this.held = "")}>${t("fullpage")}</a></div>` : nothing}
      ${this.said ? html`<div class="notice said" part="notice"><span>${this.said}</span></div>` : nothing}
    </div>`;
  }
}

/** Registers the element once, however often the script is loaded. */
export function defineChat(): void {
  if (!customElements.get("baton-chat")) customElements.define("baton-chat", BatonChat);
}

defineChat();
