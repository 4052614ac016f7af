/** `<baton-desk>`: the operators' page. Holds what is only a matter of the screen; the rest is in the state of the desk. */
import { html, LitElement, nothing, type TemplateResult } from "lit";
import { sheet } from "../../theme/stylesheet";
import { asHex, isDark, themeSheet, watchTheme } from "../../theme/theme";
import { language, type Language } from "../../locales/i18n";
import { playSound, allowNotifications, notify, showCount } from "../../client/desk-alerts";
import { commandOf, type Command } from "../../state/desk-keys";
import { readPreferences, savePreferences, type Preferences } from "../../state/desk-preferences";
import { attention, type DialogName, type News } from "../../state/desk-reducer";
import { routeTo } from "../../state/desk-route";
import { toListState } from "../../state/desk-conversation";
import { isMine } from "../../state/desk-list";
import type { PreferenceName } from "../../state/desk-preferences";
import type { Row, ViewName } from "../../state/desk-types";
import type { Desk } from "../../state/desk";
import type { Options } from "../../types";
import { chatStyles } from "../chat.styles";
import { messageStyles } from "../message.styles";
import { proseStyles } from "../prose.styles";
import { LiveRegionAnnouncer } from "../live-region";
import { MessageList } from "../message-list";
import type { MessageHost } from "../message";
import { conversationList } from "./conversation-list";
import { conversationView } from "./conversation";
import { details } from "./details";
import { deskStyles } from "./desk.styles";
import { dialogs } from "./dialogs";
import { loginView } from "./login";
import { createReader } from "./reader";
import { viewsNav } from "./views";
import { nameOfVisitor, permissionsOf } from "./host";
import type { DeskActionName, DeskHost, DeskView } from "./host";

const TICK_MS = 15_000;
const TYPING_TICK_MS = 1_000;

export class BatonDesk extends LitElement implements DeskHost, MessageHost {
  desk!: Desk;
  words: Language = language();
  options: Options = {};
  preferences: Preferences = readPreferences(safeStorage());
  detailsOpen = false;
  replyFilter: string | null = null;
  replyIndex = 0;
  paletteText = "";
  paletteIndex = 0;
  activeField: "reply" | "note" = "reply";
  now = Date.now();
  readonly reader = createReader(this);

  #shownRef: string | null = null;
  #messageList: MessageList | null = null;
  /** Where J and K went last, for when that conversation has left the view. */
  #position = 0;
  #focusWanted = "";
  /** Where the focus was before a dialog. */
  #opener: HTMLElement | null = null;
  #shownDialog: DialogName | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #stop: (() => void)[] = [];

  static override styles = [chatStyles, messageStyles, proseStyles, deskStyles].map(sheet);

  get oidcUrl(): string | undefined {
    return this.dataset["oidc"];
  }
  get siteTitle(): string {
    return this.options.title ?? "";
  }
  get #me() {
    return this.desk.state.me;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    const listening = new AbortController();
    const { signal } = listening;
    addEventListener("keydown", (event) => this.#onKey(event), { signal });
    addEventListener("hashchange", () => this.desk.applyRoute(), { signal });
    this.#stop = [
      () => listening.abort(),
      watchTheme(() => this.#paint()),
      this.desk.subscribe(() => this.requestUpdate()),
    ];
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    clearTimeout(this.#timer);
    for (const stop of this.#stop) stop();
  }

  override render(): TemplateResult {
    const { login, page, opened } = this.desk.state;
    const { dir, tag } = this.words;
    this.now = Date.now();
    if (login !== "in")
      return html`<div class="chat" dir=${dir} lang=${tag}>${login === "loading" ? nothing : loginView(this)}</div>`;
    return html`<div class=${`chat desk${opened ? " has-conversation" : ""} on-${page}`} dir=${dir} lang=${tag}>
      ${viewsNav(this)}
      <main class="work">
        <h1 class="visually-hidden">${this.siteTitle} ${this.words.t("desk.title")}</h1>
        <div class="notices" role="status">${this.#notices()}</div>
        ${
          page === "analytics"
            ? html`<section class="analytics" aria-label=${this.words.t("desk.analytics")}><baton-desk-analytics .api=${this.desk.api} .words=${this.words}></baton-desk-analytics></section>`
            : html`${conversationList(this)}${conversationView(this)}`
        }
      </main>
      ${page === "analytics" ? nothing : details(this)} ${dialogs(this)}
      <div id="live" class="visually-hidden" aria-live="polite"></div>
    </div>`;
  }

  #notices(): TemplateResult | typeof nothing {
    const { online, feedDown, notice } = this.desk.state;
    const { t } = this.words;
    const connection = online ? (feedDown ? "reconnecting" : "") : "offline";
    return html`${connection ? html`<div class="notice warning"><span>${t(`desk.notice.${connection}`)}</span></div>` : nothing}
      ${notice ? html`<div class="notice ${notice.tone}"><span>${t(`desk.notice.${notice.key}`, notice.params)}</span></div>` : nothing}`;
  }

  override willUpdate(): void {
    const { dialog } = this.desk.state;
    if (dialog && !this.#shownDialog)
      this.#opener = (this.renderRoot as ShadowRoot | undefined)
        ?.activeElement as HTMLElement | null;
  }

  override updated(): void {
    this.#updateDialog();
    this.#updateMessages();
    this.#growFields();
    this.#applyFocus();
    showCount(
      `${this.siteTitle} ${this.words.t("desk.title")}`.trim(),
      this.desk.state.login === "in" ? attention(this.desk.state) : 0,
    );
    this.#scheduleTick();
  }

  #updateDialog(): void {
    const { dialog } = this.desk.state;
    if (dialog === this.#shownDialog) return;
    if (dialog) this.#showDialog();
    else if (!this.#focusWanted && this.#opener?.isConnected) this.#opener.focus();
    this.#shownDialog = dialog;
  }

  /** One dialog after another is the same element with other content, and what had the focus is gone. */
  #showDialog(): void {
    const dialog = this.#find<HTMLDialogElement>("dialog");
    if (!dialog) return;
    if (dialog.open) dialog.querySelector<HTMLElement>(".dialog-title button")?.focus();
    else dialog.showModal();
    dialog.querySelector<HTMLElement>("[data-first]")?.focus();
  }

  override firstUpdated(): void {
    this.#paint();
  }

  #paint(): void {
    const theme = themeSheet(asHex(this.options.color, this), isDark(this.options.theme));
    const root = this.renderRoot as ShadowRoot;
    root.adoptedStyleSheets = [...BatonDesk.styles, theme];
  }

  /** Times of day go on by themselves; whoever types stops to type. */
  #scheduleTick(): void {
    clearTimeout(this.#timer);
    const { opened } = this.desk.state;
    const until = Math.max(opened?.visitorTypesUntil ?? 0, opened?.colleagueTyping?.until ?? 0);
    const typing = until > this.now;
    this.#timer = setTimeout(() => this.requestUpdate(), typing ? TYPING_TICK_MS : TICK_MS);
  }

  #find<T extends Element = HTMLElement>(selector: string): T | null {
    return this.renderRoot.querySelector<T>(selector);
  }

  // --- the messages ---

  #updateMessages(): void {
    const { opened } = this.desk.state;
    const box = this.#find("#messages");
    if (!opened || !box) {
      this.#shownRef = this.#messageList = null;
      return;
    }
    if (this.#shownRef !== opened.ref || !this.#messageList) {
      this.#shownRef = opened.ref;
      this.replyFilter = null;
      this.activeField = "reply";
      this.#messageList = new MessageList(
        this.#find("#log")!,
        box,
        this,
        new LiveRegionAnnouncer(this.#find("#live")!),
        () => this.requestUpdate(),
      );
    }
    this.#messageList.update(toListState(opened));
  }

  retry(clientId: string | undefined): void {
    void this.desk.opened?.resend(clientId);
  }
  rate(): Promise<boolean> {
    return Promise.resolve(false);
  }
  showToast(key: string): void {
    this.desk.notice({ key, tone: "info" });
  }

  /** As high as their text, where the browser does not do that by itself; the style sheet says how high at most. */
  #growFields(): void {
    if (CSS.supports?.("field-sizing", "content")) return;
    for (const field of this.renderRoot.querySelectorAll<HTMLTextAreaElement>("textarea")) {
      field.style.height = "auto";
      field.style.height = `${field.scrollHeight}px`;
    }
  }

  // --- what an operator does ---

  change(view: Partial<DeskView>): void {
    Object.assign(this, view);
    this.requestUpdate();
  }

  toggleDetails(): void {
    this.detailsOpen = !this.detailsOpen;
    this.focusLater(this.detailsOpen ? ".details-close" : ".details-button");
  }

  setPreference(name: PreferenceName, on: boolean): void {
    this.preferences = { ...this.preferences, [name]: on };
    savePreferences(safeStorage(), this.preferences);
    this.requestUpdate();
    if (name === "sound" && on) playSound("message");
    if (name === "notifications" && on)
      void allowNotifications().then((allowed) => {
        if (allowed) return;
        this.setPreference(name, false);
        this.desk.notice({ key: "notificationsRefused", tone: "warning" });
      });
  }

  /** Focuses what the next rendering shows. */
  focusLater(selector: string): void {
    this.#focusWanted = selector;
    this.requestUpdate();
  }

  #applyFocus(): void {
    const wanted = this.#focusWanted;
    this.#focusWanted = "";
    if (!wanted) return;
    const field = this.#find(wanted);
    field?.focus();
    if (field instanceof HTMLTextAreaElement)
      field.setSelectionRange(field.value.length, field.value.length);
  }

  run(action: DeskActionName): void {
    const { desk } = this;
    const { opened } = desk.state;
    if (!opened) return;
    const can = permissionsOf(desk.state, opened);
    const release = async (to: string) => {
      if (await desk.release(to)) this.focusLater("#log");
    };
    const asked = desk.state.dialog === "end";
    const actions: Record<DeskActionName, () => void> = {
      take: () => {
        if (can.take) void desk.take(can.force).then((done) => done && this.focusLater("#reply"));
      },
      toBot: () => can.toBot && void release("bot"),
      toQueue: () => can.toQueue && void release("queue"),
      assign: () => can.assign && desk.dialog("assign"),
      end: () => {
        if (!can.end) return;
        desk.dialog(asked ? null : "end");
        if (asked) void desk.end().then((done) => done && this.focusLater("#log"));
      },
      close: () => desk.go(desk.state.page),
    };
    actions[action]();
  }

  // --- keys ---

  #onKey(event: KeyboardEvent): void {
    const { login, dialog } = this.desk.state;
    if (event.defaultPrevented || login !== "in") return;
    if (event.key === "Escape") return this.#onEscape(event);
    const { singleKeys } = this.preferences;
    const command = commandOf(event, { inField: isField(event.composedPath()[0]), singleKeys });
    // A dialog has the keyboard to itself.
    if (!command || (dialog && command !== "palette")) return;
    event.preventDefault();
    this.#obey(command);
  }

  #onEscape(event: KeyboardEvent): void {
    const { dialog, opened, page } = this.desk.state;
    if (dialog) return;
    if (this.detailsOpen) {
      event.preventDefault();
      return this.toggleDetails();
    }
    if (!opened) return;
    const ref = opened.ref;
    event.preventDefault();
    this.desk.go(page);
    this.focusLater(`[data-ref="${CSS.escape(ref)}"]`);
  }

  #obey(command: Command): void {
    const { desk } = this;
    if (command.startsWith("view.")) {
      desk.go(command.slice(5) as ViewName);
      return;
    }
    const commands: Partial<Record<Command, () => void>> = {
      next: () => this.#step(1),
      previous: () => this.#step(-1),
      reply: () => this.focusLater("#reply"),
      note: () => this.focusLater("#note"),
      replies: () => this.#askForReplies(),
      help: () => desk.dialog("help"),
      palette: () => {
        this.paletteText = "";
        this.paletteIndex = 0;
        desk.dialog(desk.state.dialog === "palette" ? null : "palette");
      },
    };
    const known = commands[command];
    if (known) known();
    else this.run(command as DeskActionName);
  }

  /** The canned replies, without the slash that asks for them inside of the field. */
  #askForReplies(): void {
    if (!this.desk.opened || !this.#find<HTMLTextAreaElement>("#reply:not(:disabled)")) return;
    if (!this.desk.state.opened?.replyDraft) this.desk.opened.setDraft("replyDraft", "/");
    this.replyFilter = "";
    this.replyIndex = 0;
    this.focusLater("#reply");
  }

  /** J and K: the conversation below or above, from where the focus is, or from the one that is open. */
  #step(by: number): void {
    const links = [...this.renderRoot.querySelectorAll<HTMLElement>(".row")];
    if (!links.length) return;
    const active = (this.renderRoot as ShadowRoot).activeElement;
    const { opened } = this.desk.state;
    let at = links.findIndex((one) => one === active);
    if (at < 0) at = links.findIndex((one) => one.dataset["ref"] === opened?.ref);
    // The one that was there has left the view, and the next has its place.
    const next = at < 0 ? this.#position - (by < 0 ? 1 : 0) : at + by;
    this.#position = Math.min(links.length - 1, Math.max(0, next));
    const link = links[this.#position]!;
    link.focus();
    link.scrollIntoView({ block: "nearest" });
  }

  // --- news ---

  onNews(news: News, row: Row): void {
    if (this.preferences.sound) playSound(news);
    if (!this.preferences.notifications || document.visibilityState === "visible") return;
    const name = nameOfVisitor(row, row.ref, this.words);
    const view = isMine(row, this.#me) ? "mine" : "queue";
    notify(
      this.words.t(`desk.news.${news}`, { name }),
      row.last_message?.preview ?? "",
      row.ref,
      () => {
        location.hash = routeTo(view, row.ref);
      },
    );
  }
}

/** Somewhere that text is typed. */
const isField = (target: EventTarget | undefined): boolean =>
  target instanceof HTMLElement &&
  (target.matches("input, textarea, select") || target.isContentEditable);

/** Where a browser forbids the storage, preferences hold for this page. */
function safeStorage(): Storage | undefined {
  try {
    return localStorage;
  } catch {
    return undefined;
  }
}

customElements.define("baton-desk", BatonDesk);
