/** What the chat says of people: that they may read along, the queue, who is here, and a way to reach them. In the people chunk. */
import type { html as Html, TemplateResult } from "lit/html.js";
import { h } from "../dom";
import type { Language } from "../locales/i18n";
import { isWithPeople } from "../state/reducer";
import type { Handler, State } from "../types";
import type { ChatHost } from "./chat-controller";
import { iconNode } from "./icon-nodes";
import { initials } from "./initials";
import { asksForPerson } from "./asks-for-person";

type Part = TemplateResult | "";

/** Under the greeting, so before anything is sent. */
export const readAlong = (html: typeof Html, { t }: Language): TemplateResult =>
  html`<p class="read-along">${t("people.note")}</p>`;

/** What the composer asks for; undefined: as without people. */
export const composerHint = (state: State): string | undefined =>
  isWithPeople(state) ? "people.hint" : undefined;

/** A text with a name in it, which takes its own direction. */
function named(html: typeof Html, text: string, name: string): TemplateResult {
  const [before, after] = text.split("\0");
  return html`${before}<bdi>${name}</bdi>${after}`;
}

/** The sentences about who answers. */
function sentences(html: typeof Html, { t }: Language, handler: Handler): (Part | string)[] {
  const { kind, name, position: n, reason } = handler;
  if (kind === "human") return [named(html, t("people.joined", { name: "\0" }), name)];
  if (kind === "bot") return OF_BOT.includes(`people.${reason}`) ? [t(`people.${reason}`)] : [];
  return [
    reason === "absent" ? t("people.absent") : "",
    n ? t("people.queue", { n }) : t("people.waiting"),
    reason === "absent" ? "" : t("people.queue.more"),
  ].filter(Boolean);
}

/** Why the assistant answers again, and what became of a message that was left: people.<reason> says it. */
const OF_BOT = [
  "people.released",
  "people.timeout",
  "people.left",
  "people.kept",
  "people.kept.mail",
];

/** One calm line above the composer. */
export function peopleLine(html: typeof Html, state: State, chat: ChatHost): Part {
  const { handler, status } = state;
  if (!handler || status === "ended" || status === "gone") return "";
  const [first, ...more] = sentences(html, chat.words, handler);
  if (!first) return "";
  const leave =
    handler.reason === "timeout" && handler.kind === "bot"
      ? html`<button type="button" class="text-icon-button" part="button" @click=${() => void leaveMessage(chat)}>${chat.words.t("people.leave")}</button>`
      : "";
  return html`<div class="notice people ${handler.kind}" part="notice">
    <span>${handler.kind === "human" ? html`<b class="avatar" aria-hidden="true">${initials(handler.name)}</b>` : ""}<span>${first}${more.map((one) => html` <span class="more">${one}</span>`)}</span></span>${leave}</div>`;
}

/** Asks for a person; where nobody is there, a message can be left. */
export async function talkToPerson(chat: ChatHost): Promise<void> {
  try {
    if ((await chat.conversation!.people!.request()) === "bot") await leaveMessage(chat);
    else chat.focus();
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
        h("b", { class: "avatar", "aria-hidden": "true" }, initials(typing)),
        h("span", { class: "typing-indicator", "aria-hidden": "true" }, h("i"), h("i"), h("i")),
        h("span", {}, t("people.typing", { name: typing })),
      ),
    };
  }
  const last = state.messages.at(-1);
  if (status === "ended" || status === "gone" || !offersPerson(state)) return undefined;
  const button = h(
    "button",
    { type: "button", class: "text-icon-button", part: "button" },
    iconNode("person"),
    t("people.talk"),
  );
  button.addEventListener("click", () => void talkToPerson(chat));
  return { key: `offer ${last!.id}`, node: h("div", { class: "delivery" }, button) };
}

/** The assistant does not know, or the visitor asked for a person. */
function offersPerson({ messages }: State): boolean {
  const last = messages.at(-1);
  if (last?.role !== "assistant" || last.author) return false;
  const question = messages.findLast((one) => one.role === "user");
  return last.metadata.not_found === true || asksForPerson(question?.content ?? "");
}
