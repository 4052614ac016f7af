/** What the chat says of people: that they may read along, the queue, who is here, and a way to reach them. In the people chunk. */
import type { html as Html, TemplateResult } from "lit/html.js";
import { h, type Child } from "../dom";
import type { Language } from "../locales/i18n";
import { isWithPeople } from "../state/reducer";
import type { Handler, State } from "../types";
import type { ChatHost } from "./chat-controller";
import { iconNode } from "./icon-nodes";
import { initials } from "./initials";
import { asksForPerson } from "./asks-for-person";

/** Under the greeting, so before anything is sent. */
export const readAlong = (html: typeof Html, { t }: Language): TemplateResult =>
  html`<p class="read-along">${t("people.note")}</p>`;

/** What the composer asks for; undefined: as without people. */
export const composerHint = (state: State): string | undefined =>
  isWithPeople(state) ? "people.hint" : undefined;

/** A text with a name in it, which takes its own direction. */
function named(text: string, name: string): Child[] {
  const [before = "", after = ""] = text.split("\0");
  return [before, h("bdi", {}, name), after];
}

/** Why the assistant answers again, and what became of a message that was left. */
const OF_BOT = [
  "people.released",
  "people.timeout",
  "people.left",
  "people.kept",
  "people.kept.mail",
];

/** The sentence about who answers, and what to add to it in a quieter voice. */
function sentences({ t }: Language, handler: Handler): { first: Child[]; more?: string } {
  const { kind, name, position: n, reason } = handler;
  if (kind === "human") return { first: named(t("people.joined", { name: "\0" }), name) };
  const key = `people.${reason}`;
  if (kind === "bot") return { first: OF_BOT.includes(key) ? [t(key)] : [] };
  const place = n ? t("people.queue", { n }) : t("people.waiting");
  return reason === "absent"
    ? { first: [t("people.absent")], more: place }
    : { first: [place], more: t("people.queue.more") };
}

/** The line of each chat: the same element as long as it says the same, so that it is read out once. */
const shown = new WeakMap<ChatHost, { key: string; node: Element | "" }>();

/** One calm line above the composer. */
export function peopleLine({ handler, status }: State, chat: ChatHost): Element | "" {
  if (!handler || status === "ended" || status === "gone") return "";
  const { first, more } = sentences(chat.words, handler);
  const key = first.map((part) => (part as Node).textContent ?? part).join("") + more;
  const last = shown.get(chat);
  if (last?.key === key) return last.node;
  const node = first.length ? lineOf(handler, first, more, chat) : "";
  shown.set(chat, { key, node });
  return node;
}

function lineOf(
  { kind, name, reason }: Handler,
  first: Child[],
  more: string | undefined,
  chat: ChatHost,
): Element {
  const line = h("div", { class: `notice people ${kind}`, part: "notice" });
  if (kind === "human") line.append(avatar(name));
  const quiet = more ? [" ", h("span", { class: "more" }, more)] : [];
  line.append(h("span", {}, ...first, ...quiet));
  if (kind === "bot" && reason === "timeout")
    line.append(textButton(chat.words.t("people.leave"), () => void leaveMessage(chat)));
  return line;
}

const avatar = (name: string): Element =>
  h("b", { class: "avatar", "aria-hidden": "true" }, initials(name));

function textButton(text: string, press: () => void, ...before: Child[]): HTMLButtonElement {
  const button = h(
    "button",
    { type: "button", class: "text-icon-button", part: "button" },
    ...before,
    text,
  );
  button.addEventListener("click", press);
  return button;
}

/** Asks for a person; where nobody is there, a message can be left. */
export async function talkToPerson(chat: ChatHost): Promise<void> {
  try {
    if ((await chat.conversation!.people!.request()) === "bot") await leaveMessage(chat);
    else chat.focusQuietly();
  } catch {
    chat.showToast("people.failed");
  }
}

const leaveMessage = (chat: ChatHost): Promise<void> =>
  chat.openDialog({ kind: "contact", problem: "", sending: false });

/** Below the last message: that somebody types, or the offer to talk to a person. `key` changes with what is to be seen. */
export function peopleTail(state: State, chat: ChatHost): { key: string; node: Node } | undefined {
  const t = chat.words.t;
  const { typing, status } = state;
  if (isWithPeople(state)) {
    if (!typing) return undefined;
    return {
      key: `typing ${typing}`,
      node: h(
        "div",
        { class: "thinking", part: "thinking" },
        avatar(typing),
        h("span", { class: "typing-indicator", "aria-hidden": "true" }, h("i"), h("i"), h("i")),
        h("span", {}, t("people.typing", { name: typing })),
      ),
    };
  }
  const last = state.messages.at(-1);
  if (status === "ended" || status === "gone" || !offersPerson(state)) return undefined;
  const button =
    last!.metadata.handoff === false // nobody was there
      ? textButton(t("people.leave"), () => void leaveMessage(chat), iconNode("person"))
      : textButton(t("people.talk"), () => void talkToPerson(chat), iconNode("person"));
  return { key: `offer ${last!.id}`, node: h("div", { class: "delivery" }, button) };
}

/** The assistant does not know or wants a person to go on, or the visitor asked for one. */
function offersPerson({ messages }: State): boolean {
  const last = messages.at(-1);
  if (last?.role !== "assistant" || last.author) return false;
  const { not_found, handoff } = last.metadata;
  if (not_found === true || handoff === false) return true;
  return asksForPerson(messages.findLast((one) => one.role === "user")?.content ?? "");
}
