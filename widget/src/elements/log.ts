/** The list of messages: brings the nodes up to date with the state and touches nothing that has not changed. */
import { make } from "../nodes";
import type { Message, State } from "../types";
import { Announcer } from "./announcer";
import { isEmpty, MessageView, type Desk } from "./message";
import { Follower } from "./scroll";
import { iconNode } from "./signs";

/** Messages built at once, and how many more in each idle moment: a long conversation opens without a pause. */
const AT_ONCE = 24;
const IN_IDLE = 16;

const keyOf = (message: Message): string => (message.role === "user" && message.client_id ? `c:${message.client_id}` : message.id);
const dayOf = (iso: string): string => new Date(iso).toDateString();

interface Entry { view: MessageView; day: HTMLElement | null }

export class LogView {
  private readonly list = make("div", { class: "list" });
  private readonly tail = make("div", { class: "tail" });
  private readonly entries = new Map<string, Entry>();
  private live: { turn: string; view: MessageView } | null = null;
  private messages: readonly Message[] | null = null;
  private lastKey = "";
  /** The message that a streamed answer became: it has been told already. */
  private adopted = "";
  /** Messages before this place have not been built yet. */
  private from = 0;
  private idle = 0;
  readonly follower: Follower;
  /** Whether words came in while the visitor was reading further up. */
  unseen = false;

  constructor(
    scroller: HTMLElement, private readonly box: HTMLElement, private readonly desk: Desk,
    private readonly announcer: Announcer, private readonly changed: () => void,
  ) {
    box.append(this.list, this.tail);
    this.follower = new Follower(scroller, () => {
      if (this.follower.following) this.unseen = false;
      changed();
    });
    scroller.addEventListener("keydown", (event) => this.page(event));
  }

  update(state: State): void {
    const words = state.answering?.text ?? "";
    if (state.messages !== this.messages) this.lay(state);
    if (state.answering && words) this.write(state.answering.turn_id, words);
    else if (this.live) this.drop();
    this.wait(state, words);
    if (this.follower.following) this.follower.grown();
  }

  /** The anchor for keeping the place when messages are added above. */
  first(): Element | null {
    return this.list.querySelector("article");
  }

  private lay(state: State): void {
    const messages = state.messages;
    const old = this.messages;
    const known = messages.findIndex((m) => this.entries.has(keyOf(m)));
    const fresh = known < 0;
    // Older messages that were put before those on the screen are built from the newest back, like a long history.
    this.from = fresh ? Math.max(0, messages.length - AT_ONCE) : known;
    this.messages = messages;
    if (!fresh && messages.length > (old?.length ?? 0) && this.grewAtEnd(messages, old)) this.miss();
    this.sync();
    this.announce(state, old, fresh);
    if (fresh) this.follower.toEnd();
    if (this.from > 0) this.later();
  }

  private grewAtEnd(messages: readonly Message[], old: readonly Message[] | null): boolean {
    const last = old?.[old.length - 1];
    return !!last && keyOf(messages[messages.length - 1]!) !== keyOf(last);
  }

  /** A message that came whole is told once; history, one's own words and a streamed answer are not. */
  private announce(state: State, old: readonly Message[] | null, fresh: boolean): void {
    const last = state.messages[state.messages.length - 1];
    const key = last ? keyOf(last) : "";
    const news = last && key !== this.lastKey && key !== this.adopted && last.role !== "user";
    if (news && old && !fresh && !state.loading) this.announcer.whole(isEmpty(last) ? this.desk.words.t("stopped") : last.content);
    this.lastKey = key;
  }

  private sync(): void {
    const wanted = new Set<string>();
    let place: ChildNode | null = this.list.firstChild;
    let day = "";
    const put = (node: HTMLElement): void => {
      if (node === place) place = node.nextSibling;
      else this.list.insertBefore(node, place);
    };
    for (const message of this.messages!.slice(this.from)) {
      const key = keyOf(message);
      wanted.add(key);
      const entry = this.entries.get(key) ?? this.enter(key, message);
      if (entry.view.message !== message && changedIn(entry.view.message, message)) entry.view.show(message);
      const today = dayOf(message.created_at);
      if (today !== day) put((entry.day = this.day(entry.day, message)));
      else entry.day = null;
      day = today;
      put(entry.view.element);
    }
    while (place) {
      const next: ChildNode | null = (place as ChildNode).nextSibling;
      if (place !== this.live?.view.element) (place as ChildNode).remove();
      place = next;
    }
    for (const key of this.entries.keys()) if (!wanted.has(key)) this.entries.delete(key);
  }

  private enter(key: string, message: Message): Entry {
    const streamed = message.role === "assistant" && this.live && this.messages![this.messages!.length - 1] === message;
    const view = streamed ? this.live!.view : new MessageView(this.desk, message.role);
    if (streamed) {
      this.live = null;
      this.adopted = key;
      this.announcer.finish(message.content);
    }
    view.show(message);
    const entry: Entry = { view, day: null };
    this.entries.set(key, entry);
    return entry;
  }

  private day(known: HTMLElement | null, message: Message): HTMLElement {
    const words = this.desk.words.day(message.created_at);
    if (known?.textContent === words) return known;
    return make("div", { class: "day" }, make("span", {}, words));
  }

  private later(): void {
    if (this.idle) return;
    const soon = globalThis.requestIdleCallback ?? ((run: () => void) => setTimeout(run, 30) as unknown as number);
    this.idle = soon(() => {
      this.idle = 0;
      this.from = Math.max(0, this.from - IN_IDLE);
      this.follower.keep(this.first(), () => this.sync());
      if (this.from > 0) this.later();
    }, { timeout: 400 });
  }

  private write(turn: string, text: string): void {
    if (this.live?.turn !== turn) {
      this.drop();
      this.live = { turn, view: new MessageView(this.desk, "assistant") };
      // At its final place: a node that is moved later would lose focus and selection.
      this.list.append(this.live.view.element);
    }
    this.live!.view.write(text);
    this.announcer.grow(turn, text);
    this.miss();
  }

  /** New words came; a visitor who reads further up is told so, not moved. */
  private miss(): void {
    if (this.follower.following || this.unseen) return;
    this.unseen = true;
    this.changed();
  }

  private drop(): void {
    if (!this.live) return;
    this.announcer.finish("");
    this.live.view.element.remove();
    this.live = null;
  }

  /** Below the last message: what is being done before the first word, or Retry. */
  private wait(state: State, words: string): void {
    const t = this.desk.words.t;
    const last = state.messages[state.messages.length - 1];
    // While the question is on its way, nobody thinks about it yet.
    const working = !words && (!!state.answering || (state.waiting && !last?.delivery));
    const retry = state.canRetry && !working && !words && last?.delivery !== "failed";
    const shown = working ? "thinking" : retry ? `retry ${last?.role}` : "";
    if (this.tail.dataset["shown"] === shown) return;
    this.tail.dataset["shown"] = shown;
    this.tail.replaceChildren();
    if (working) {
      this.tail.append(make("div", { class: "working", part: "working" },
        make("span", { class: "batons", "aria-hidden": "true" }, make("i"), make("i"), make("i")), `${t("thinking")}…`));
    }
    if (retry) {
      const button = make("button", { type: "button", class: "labelled", part: "button" }, iconNode("retry"), t("retry"));
      button.addEventListener("click", () => this.desk.retry(undefined));
      const broken = last?.role === "user" ? [make("span", {}, t("broken"))] : [];
      this.tail.append(make("div", { class: "delivery" }, ...broken, button));
    }
  }

  /** Page Up and Page Down go from message to message, as in any feed. */
  private page(event: KeyboardEvent): void {
    if ((event.key !== "PageUp" && event.key !== "PageDown") || event.ctrlKey || event.altKey) return;
    const all = [...this.box.querySelectorAll<HTMLElement>("article")];
    const current = all.findIndex((article) => article.contains(event.target as Node));
    const next = current < 0 ? all.length - 1 : current + (event.key === "PageUp" ? -1 : 1);
    if (!all[next]) return;
    event.preventDefault();
    all[next]!.focus({ preventScroll: true });
    all[next]!.scrollIntoView({ block: "nearest" });
  }
}

function changedIn(before: Message | null, now: Message): boolean {
  if (!before) return true;
  return before.content !== now.content || before.delivery !== now.delivery || before.id !== now.id ||
    before.created_at !== now.created_at ||
    (before.metadata !== now.metadata && JSON.stringify(before.metadata) !== JSON.stringify(now.metadata));
}
