/** One message as an article: who, when, what, its sources, and what can be done with it. */
import type { Language } from "../locales/i18n";
import { COPIED_MS, type RenderContext } from "../markdown/render";
import { MarkdownView } from "../markdown/streaming";
import { copy, h, externalLink, safeLink } from "../dom";
import type { Citation, Message, Options, State } from "../types";
import { iconNode, type Sign } from "./icon-nodes";
import { initials } from "./initials";

/** What a message may ask of the chat around it. */
export interface MessageHost {
  readonly words: Language;
  readonly options: Options;
  showToast(key: string): void;
  retry(clientId: string | undefined): void;
  /** What people have to say below the last message. `key` changes with what is to be seen. */
  tail?(state: State): { key: string; node: Node } | undefined;
  /** True when it was saved. */
  rate(id: string, rating: "up" | "down" | null, comment?: string): Promise<boolean>;
  /** Set where somebody else than the visitor reads: an operator, who rates nothing. */
  readonly reader?: MessageReader;
}

/** How messages look to a reader who is not the visitor. */
export interface MessageReader {
  nameOf(message: Message): string;
  /** Who wrote it, for the style sheet. */
  kindOf(message: Message): string;
  isOwn(message: Message): boolean;
  /** Lines below the message. */
  notesOf(message: Message): string[];
}

type Rating = "up" | "down" | null;

export function citationsOf(message: Message): Citation[] {
  const citations = message.metadata["citations"];
  if (!Array.isArray(citations)) return [];
  return citations
    .filter(
      (citation): citation is Citation =>
        !!citation && typeof citation.title === "string" && typeof citation.url === "string",
    )
    .slice(0, 5);
}

/** An answer that was stopped before it had a word. */
export const isEmpty = (message: Message): boolean =>
  message.role !== "user" && !message.content.trim();

export function nameOf(message: Message, host: MessageHost): string {
  if (host.reader) return host.reader.nameOf(message);
  const operator = message.author ?? message.metadata["operator"];
  if (message.role === "user") return host.words.t("you");
  if (message.role === "system") return host.words.t("notice");
  return typeof operator === "string" && operator ? operator : assistantName(host);
}

/** The name that the site gave it; the default is said in the visitor's language. */
function assistantName({ options, words }: MessageHost): string {
  const given = options.assistantName;
  return given && given !== "Assistant" ? given : words.t("assistant");
}

/** A message on the screen. `show` may be called again with a newer state of the same message. */
export class MessageView {
  readonly element: HTMLElement;
  readonly text: HTMLElement;
  readonly #time = h("time");
  readonly #who = h("span", { class: "who", "aria-hidden": "true" });
  readonly #footer = h("div", { class: "foot" });
  #stream: MarkdownView | null = null;
  #rating: Rating = null;
  message: Message | null = null;
  /** A person took over in the middle of this answer. */
  taken = false;

  constructor(
    private readonly host: MessageHost,
    role: Message["role"],
    /** Says something to those who listen, and shows nothing. */
    private readonly announce: (words: string) => void,
  ) {
    this.text = h("div", { class: "text", part: `text text-${role}` });
    const head = h("div", { class: "head" }, this.#who, this.#time);
    this.element = h(
      "article",
      { class: `message ${role}`, part: `message message-${role}`, tabindex: "-1" },
      head,
      this.text,
      this.#footer,
    );
  }

  /** The words of an answer so far. */
  renderStreaming(text: string): void {
    if (!this.element.classList.contains("live")) {
      this.element.classList.add("live");
      this.element.setAttribute("aria-busy", "true");
      this.#setName(assistantName(this.host), new Date().toISOString());
    }
    this.#stream ??= new MarkdownView(this.text, this.#renderContext([], true));
    this.#stream.update(text);
  }

  show(message: Message, taken = false): void {
    const before = this.message;
    this.message = message;
    this.taken = taken;
    if (this.host.reader) this.element.dataset["from"] = this.host.reader.kindOf(message);
    this.#setName(nameOf(message, this.host), message.created_at);
    const renderSources = citationsOf(message);
    const same =
      before &&
      before.content === message.content &&
      citationsOf(before).length === renderSources.length;
    if (!same) this.#renderContent(message, renderSources);
    this.element.classList.remove("live");
    this.element.removeAttribute("aria-busy");
    this.element.classList.toggle("pending", !!message.delivery && message.delivery !== "failed");
    this.element.classList.toggle("failed", message.delivery === "failed");
    // Somebody is writing what would have helped: the rating just saved is on the screen already.
    if (!same || !this.#footer.querySelector(".feedback-form"))
      this.#renderFooter(message, renderSources);
  }

  #setName(name: string, iso: string): void {
    const when = this.host.words.time(iso);
    this.element.setAttribute("aria-label", when ? `${name}, ${when}` : name);
    this.#who.textContent = name;
    const author = this.host.reader ? "" : this.message?.author;
    this.element.classList.toggle("operator", !!author);
    if (author) this.#who.prepend(h("b", { class: "avatar" }, initials(author)));
    this.#time.textContent = when;
    this.#time.dateTime = iso;
  }

  #renderContent(message: Message, sources: Citation[]): void {
    if (message.role === "user" || message.role === "note") {
      // What a visitor or an operator typed is shown as typed, not as Markdown.
      this.text.replaceChildren(h("p", { dir: "auto", class: "typed" }, message.content));
      return;
    }
    const { stopped, interrupted, finish_reason } = message.metadata;
    const cutShort = !!(stopped || interrupted || finish_reason === "length");
    const context = { ...this.#renderContext(sources), cutShort };
    // A person's line breaks are meant as such.
    const text = message.author ? message.content.replaceAll("\n", "  \n") : message.content;
    (this.#stream ?? new MarkdownView(this.text, context)).finish(text, context);
    this.#stream = null;
  }

  #renderContext(citations: readonly Citation[], live = false): RenderContext {
    return {
      t: (key, params) => this.host.words.t(key, params),
      citations,
      live,
      headings: { top: 7, last: 2 },
      copied: () => this.announce(this.host.words.t("copied")),
      failed: () => this.host.showToast("copy.failed"),
    };
  }

  #renderFooter(message: Message, sources: Citation[]): void {
    const parts: Node[] = [];
    // Stopped before its first word: no bubble, and nothing to copy or rate.
    const empty = isEmpty(message);
    this.text.hidden = empty;
    if (sources.length) parts.push(this.#sources(sources));
    parts.push(...this.#notes(message));
    if (message.delivery) parts.push(this.#renderDelivery(message));
    else if (message.role !== "system" && !empty) parts.push(this.#messageActions(message));
    this.#footer.replaceChildren(...parts);
  }

  /** Lines below the text: why it is not whole. */
  #notes(message: Message): HTMLElement[] {
    const t = this.host.words.t;
    const { degraded, stopped, interrupted, finish_reason } = message.metadata;
    const notes: [boolean, string][] = [
      [!!stopped, t("stopped")],
      [!!interrupted, this.taken ? t("taken") : t("interrupted")],
      [finish_reason === "length", t("cut.length")],
      [finish_reason === "content_filter", t("cut.filter")],
    ];
    const texts = notes.flatMap(([applies, text]) => (applies ? text : []));
    texts.push(...(this.host.reader?.notesOf(message) ?? []));
    const lines = texts.map((text) => h("p", { class: "note" }, text));
    if (typeof degraded === "string" && degraded)
      lines.unshift(h("p", { class: "note", dir: "auto" }, degraded));
    return lines;
  }

  #sources(sources: Citation[]): HTMLElement {
    const rows = sources.map((source, i) => {
      const href = safeLink(source.url);
      const inner = h(
        "span",
        { class: "source" },
        h("b", {}, String(i + 1)),
        " ",
        h("bdi", {}, source.title),
      );
      return h(
        "li",
        {},
        href ? externalLink(href, { title: source.snippet ?? "", part: "source" }, inner) : inner,
      );
    });
    return h("ol", { class: "sources", "aria-label": this.host.words.t("sources") }, ...rows);
  }

  #renderDelivery(message: Message): HTMLElement {
    const t = this.host.words.t;
    const row = h("div", { class: "delivery" }, h("span", {}, t(message.delivery!)));
    if (message.delivery !== "sending")
      row.append(this.#textIconButton("retry", "retry", () => this.host.retry(message.client_id)));
    return row;
  }

  /** A button that shows its words beside the icon. */
  #textIconButton(sign: Sign, key: string, press: () => void): HTMLButtonElement {
    const button = h(
      "button",
      { type: "button", class: "text-icon-button", part: "button" },
      iconNode(sign),
      this.host.words.t(key),
    );
    button.addEventListener("click", press);
    return button;
  }

  #iconButton(sign: Sign, key: string, press: () => void): HTMLButtonElement {
    const name = this.host.words.t(key);
    const button = h(
      "button",
      { type: "button", class: "icon-button", part: "button", "aria-label": name, title: name },
      iconNode(sign),
    );
    button.addEventListener("click", press);
    return button;
  }

  #messageActions(message: Message): HTMLElement {
    const own = message.role === "user";
    const copying = this.#iconButton("copy", own ? "copy.own" : "copy", () => {
      void copy(message.content, {
        copied: () => this.#showCopied(copying),
        failed: () => this.host.showToast("copy.failed"),
      });
    });
    const row = h("div", { class: "tools" }, copying);
    if (!own && !message.author && !this.host.reader) this.#ratings(message, row);
    return row;
  }

  /** A tick in place of the icon for a moment, and the word for those who do not see it. */
  #showCopied(button: HTMLButtonElement): void {
    this.announce(this.host.words.t("copied"));
    button.replaceChildren(iconNode("check"));
    setTimeout(() => button.replaceChildren(iconNode("copy")), COPIED_MS);
  }

  #ratings(message: Message, row: HTMLElement): void {
    const stored = message.metadata["feedback"] as { rating?: Rating } | undefined;
    this.#rating = stored?.rating ?? this.#rating;
    const press = (rating: "up" | "down"): void => {
      this.#rating = this.#rating === rating ? null : rating;
      show();
      row.parentElement?.querySelector(".feedback-form")?.remove();
      void this.host.rate(message.id, this.#rating);
      if (!this.#rating) return;
      const form = this.#feedbackForm(message.id, this.#rating, row);
      row.after(form);
      // Not below the notices and the composer.
      form.scrollIntoView({ block: "nearest" });
    };
    const up = this.#iconButton("up", "rate.up", () => press("up"));
    const down = this.#iconButton("down", "rate.down", () => press("down"));
    const show = (): void => {
      up.setAttribute("aria-pressed", String(this.#rating === "up"));
      down.setAttribute("aria-pressed", String(this.#rating === "down"));
    };
    show();
    row.append(up, down);
  }

  #feedbackForm(id: string, rating: Rating, row: HTMLElement): HTMLElement {
    const t = this.host.words.t;
    const question = t(rating === "up" ? "rate.what" : "rate.why");
    const field = h("input", {
      type: "text",
      maxlength: "500",
      dir: "auto",
      "aria-label": question,
      placeholder: question,
    });
    const form = h(
      "form",
      { class: "feedback-form" },
      field,
      h("button", { class: "text-icon-button", part: "button" }, t("rate.submit")),
    );
    const leave = (): void => {
      form.remove();
      row.querySelector<HTMLElement>(`[aria-pressed=true]`)?.focus();
    };
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (field.value.trim())
        void this.host
          .rate(id, rating, field.value.trim())
          .then((saved) => saved && this.host.showToast("rate.thanks"));
      leave();
    });
    form.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      leave();
    });
    return form;
  }
}
