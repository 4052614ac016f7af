/** The list of messages: brings the nodes up to date with the state and touches nothing that has not changed. */
import { h } from "../dom";
import type { Message, State } from "../types";
import type { LiveRegionAnnouncer } from "./live-region";
import { isEmpty, MessageView, type MessageHost } from "./message";
import { AutoScroller } from "./auto-scroll";
import { iconNode } from "./icon-nodes";

/** Messages built at once, and how many more in each idle moment: a long conversation opens without a pause. */
const INITIAL_COUNT = 24;
const IDLE_BATCH = 16;

/** The same before and after the service has stored a message; empty where there is none. */
const keyOf = (message: Message | undefined): string =>
  message?.role === "user" && message.client_id ? `c:${message.client_id}` : (message?.id ?? "");
const dayOf = (iso: string): string => new Date(iso).toDateString();

interface Entry {
  view: MessageView;
  day: HTMLElement | null;
}

export class MessageList {
  readonly #list = h("div", { class: "list" });
  readonly #listEnd = h("div", { class: "list-end" });
  readonly #entries = new Map<string, Entry>();
  #streaming: { turn: string; view: MessageView } | null = null;
  #messages: readonly Message[] | null = null;
  #handler: State["handler"];
  #lastKey = "";
  #announcedTyping = "";
  #questionKey = "";
  /** The message that a streamed answer became: a screen reader has heard it already. */
  #streamedKey = "";
  /** Messages before this index have not been built yet. */
  #from = 0;
  #idle = 0;
  readonly scroller: AutoScroller;
  /** Whether words came in while the visitor was reading further up. */
  unseen = false;

  constructor(
    scroller: HTMLElement,
    private readonly box: HTMLElement,
    private readonly host: MessageHost,
    private readonly announcer: LiveRegionAnnouncer,
    private readonly changed: () => void,
  ) {
    box.append(this.#list, this.#listEnd);
    this.scroller = new AutoScroller(
      scroller,
      () => this.#lastQuestion(),
      () => {
        if (this.scroller.isAtEnd) this.unseen = false;
        changed();
      },
    );
    scroller.addEventListener("keydown", (event) => this.#onPageKey(event));
  }

  update(state: State): void {
    const words = state.answering?.text ?? "";
    if (state.messages !== this.#messages || state.handler !== this.#handler) this.#render(state);
    if (state.answering && words) this.#updateStreaming(state.answering.turn_id, words);
    else if (this.#streaming) this.#removeStreaming();
    this.#renderTail(state, words);
    this.scroller.contentChanged();
  }

  /** The anchor for keeping the place when messages are added above. */
  first(): Element | null {
    return this.#list.querySelector("article");
  }

  #render(state: State): void {
    const messages = state.messages;
    const old = this.#messages;
    const known = messages.findIndex((m) => this.#entries.has(keyOf(m)));
    const fresh = known < 0;
    // Older messages that were put before those on the screen are built from the newest back, like a long history.
    this.#from = fresh ? Math.max(0, messages.length - INITIAL_COUNT) : known;
    this.#messages = messages;
    this.#handler = state.handler;
    if (!fresh && messages.length > (old?.length ?? 0) && this.#grewAtEnd(messages, old))
      this.#markUnseen();
    this.#sync();
    this.#announce(state, old, fresh);
    this.#follow(state, fresh, old);
    if (this.#from > 0) this.#scheduleIdleBatch();
  }

  /** What was said before, and what a person writes, is shown to its end; a bot's answer, from its question on. */
  #follow(state: State, fresh: boolean, old: readonly Message[] | null): void {
    const question = state.messages.findLast(({ role }) => role === "user");
    const key = keyOf(question);
    const isNew = key !== this.#questionKey && (state.answering !== null || state.waiting);
    this.#questionKey = key;
    if (fresh) this.scroller.follow(isNew ? "question" : "end");
    else if (this.scroller.isReading) return;
    else if (isNew) this.scroller.follow("question");
    else if (state.messages.at(-1)?.author && this.#grewAtEnd(state.messages, old))
      this.scroller.follow("end");
  }

  #lastQuestion(): Element | null {
    let element = this.#list.lastElementChild;
    while (element && !element.classList.contains("user")) element = element.previousElementSibling;
    return element;
  }

  #grewAtEnd(messages: readonly Message[], old: readonly Message[] | null): boolean {
    const last = old?.[old.length - 1];
    return !!last && keyOf(messages[messages.length - 1]!) !== keyOf(last);
  }

  /** Announces a message that came in one piece, once; not history, the reader's own messages or a streamed answer. */
  #announce(state: State, old: readonly Message[] | null, fresh: boolean): void {
    const last = state.messages[state.messages.length - 1];
    const key = keyOf(last);
    const news = last && key !== this.#lastKey && key !== this.#streamedKey && !this.#isOwn(last);
    if (news && old && !fresh && !state.loading)
      this.announcer.announce(isEmpty(last) ? this.host.words.t("stopped") : last.content);
    this.#lastKey = key;
  }

  #isOwn(message: Message): boolean {
    return this.host.reader?.isOwn(message) ?? message.role === "user";
  }

  #sync(): void {
    const wanted = new Set<string>();
    let place: ChildNode | null = this.#list.firstChild;
    let day = "";
    const taken = this.host.reader
      ? new Set()
      : takenOver(this.#messages!, /queue|human/.test(this.#handler?.kind ?? ""));
    const put = (node: HTMLElement): void => {
      if (node === place) place = node.nextSibling;
      else this.#list.insertBefore(node, place);
    };
    for (const message of this.#messages!.slice(this.#from)) {
      const key = keyOf(message);
      wanted.add(key);
      const entry = this.#entries.get(key) ?? this.#createEntry(key, message);
      showChanges(entry.view, message, taken.has(message));
      const today = dayOf(message.created_at);
      if (today !== day) put((entry.day = this.#day(entry.day, message)));
      else entry.day = null;
      day = today;
      put(entry.view.element);
    }
    this.#removeFrom(place);
    for (const key of this.#entries.keys()) if (!wanted.has(key)) this.#entries.delete(key);
  }

  /** Removes what is left in the list from this node on, but for the answer that is being written. */
  #removeFrom(place: ChildNode | null): void {
    while (place) {
      const next = place.nextSibling;
      if (place !== this.#streaming?.view.element) place.remove();
      place = next;
    }
  }

  #createEntry(key: string, message: Message): Entry {
    const streamed =
      message.role === "assistant" &&
      this.#streaming &&
      this.#messages![this.#messages!.length - 1] === message;
    const view = streamed ? this.#streaming!.view : this.#createView(message.role);
    if (streamed) {
      this.#streaming = null;
      this.#streamedKey = key;
      this.announcer.finish(message.content);
    }
    view.show(message);
    const entry: Entry = { view, day: null };
    this.#entries.set(key, entry);
    return entry;
  }

  #createView(role: Message["role"]): MessageView {
    return new MessageView(this.host, role, (words) => this.announcer.announce(words));
  }

  #day(known: HTMLElement | null, message: Message): HTMLElement {
    const words = this.host.words.day(message.created_at);
    if (known?.textContent === words) return known;
    return h("div", { class: "day" }, h("span", {}, words));
  }

  #scheduleIdleBatch(): void {
    if (this.#idle) return;
    const soon =
      globalThis.requestIdleCallback ??
      ((run: () => void) => setTimeout(run, 30) as unknown as number);
    this.#idle = soon(
      () => {
        this.#idle = 0;
        this.#from = Math.max(0, this.#from - IDLE_BATCH);
        this.scroller.keepPlace(this.first(), () => this.#sync());
        if (this.#from > 0) this.#scheduleIdleBatch();
      },
      { timeout: 400 },
    );
  }

  #updateStreaming(turn: string, text: string): void {
    if (this.#streaming?.turn !== turn) {
      this.#removeStreaming();
      this.#streaming = { turn, view: this.#createView("assistant") };
      // At its final place: a node that is moved later would lose focus and selection.
      this.#list.append(this.#streaming.view.element);
    }
    this.#streaming!.view.renderStreaming(text);
    this.announcer.update(turn, text);
    this.#markUnseen();
  }

  /** New words came: a visitor who has scrolled up gets a hint, and is not moved. */
  #markUnseen(): void {
    if (!this.scroller.isReading || this.unseen) return;
    this.unseen = true;
    this.changed();
  }

  #removeStreaming(): void {
    if (!this.#streaming) return;
    this.announcer.finish("");
    this.#streaming.view.element.remove();
    this.#streaming = null;
  }

  /** Below the last message: what is being done before the first word, Retry, or what people have to say. */
  #renderTail(state: State, words: string): void {
    const last = state.messages[state.messages.length - 1];
    const working = !words && isWorking(state, last);
    const retry = state.canRetry && !working && !words && last?.delivery !== "failed";
    if (working) this.#showTail("thinking", () => this.#thinking());
    else if (retry) this.#showTail(`retry ${last?.role}`, () => this.#retry(last));
    else this.#showPeople(state, words, last);
  }

  #showPeople(state: State, words: string, last: Message | undefined): void {
    const people = words ? undefined : this.host.tail?.(state);
    this.#showTail(people?.key ?? "", () => people?.node);
    if (people && state.typing) this.#announceTyping(state.typing, last);
  }

  /** `key`: what is to be seen; the same again is left as it is. */
  #showTail(key: string, make: () => Node | undefined): void {
    if (this.#listEnd.dataset["shown"] === key) return;
    this.#listEnd.dataset["shown"] = key;
    const node = make();
    this.#listEnd.replaceChildren(...(node ? [node] : []));
  }

  #thinking(): Node {
    return h(
      "div",
      { class: "thinking", part: "thinking working" },
      h("span", { class: "typing-indicator", "aria-hidden": "true" }, h("i"), h("i"), h("i")),
      `${this.host.words.t("thinking")}…`,
    );
  }

  #retry(last: Message | undefined): Node {
    const t = this.host.words.t;
    const button = h(
      "button",
      { type: "button", class: "text-icon-button", part: "button" },
      iconNode("retry"),
      t("retry"),
    );
    button.addEventListener("click", () => this.host.retry(undefined));
    const broken = last?.role === "user" ? [h("span", {}, t("broken"))] : [];
    return h("div", { class: "delivery" }, ...broken, button);
  }

  /** Once before each message of theirs. */
  #announceTyping(name: string, last: Message | undefined): void {
    const announced = `${name} ${last?.id}`;
    if (announced === this.#announcedTyping) return;
    this.#announcedTyping = announced;
    this.announcer.announce(this.host.words.t("people.typing", { name }));
  }

  /** Page Up and Page Down go from message to message, as in any feed. */
  #onPageKey(event: KeyboardEvent): void {
    if ((event.key !== "PageUp" && event.key !== "PageDown") || event.ctrlKey || event.altKey)
      return;
    const all = [...this.box.querySelectorAll<HTMLElement>("article")];
    const current = all.findIndex((article) => article.contains(event.target as Node));
    const next = current < 0 ? all.length - 1 : current + (event.key === "PageUp" ? -1 : 1);
    if (!all[next]) return;
    event.preventDefault();
    all[next]!.focus({ preventScroll: true });
    all[next]!.scrollIntoView({ block: "nearest" });
  }
}

/** The answers that broke off for a person. `now`: a person has the conversation, or is asked for. */
function takenOver(messages: readonly Message[], now: boolean): Set<Message> {
  const result = new Set<Message>();
  let person = now;
  for (const message of messages.toReversed()) {
    if (message.author) person = true;
    else if (message.role === "assistant") {
      if (person && message.metadata.interrupted) result.add(message);
      person = false;
    }
  }
  return result;
}

/** Whether the bot is busy before its first word; while the question is on its way, nobody thinks about it yet. */
const isWorking = (state: State, last: Message | undefined): boolean =>
  !!state.answering || (state.waiting && !last?.delivery);

function showChanges(view: MessageView, message: Message, taken: boolean): void {
  const isNew = view.message !== message && changedIn(view.message, message);
  if (isNew || view.taken !== taken) view.show(message, taken);
}

function changedIn(before: Message | null, now: Message): boolean {
  if (!before) return true;
  return (
    before.content !== now.content ||
    before.delivery !== now.delivery ||
    before.id !== now.id ||
    before.created_at !== now.created_at ||
    (before.metadata !== now.metadata &&
      JSON.stringify(before.metadata) !== JSON.stringify(now.metadata))
  );
}
