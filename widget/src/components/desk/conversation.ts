/** The open conversation: who it is, what can be done with it, its messages, and where the operator writes. */
import { html, nothing, type TemplateResult } from "lit";
import { keyed } from "lit/directives/keyed.js";
import type { Opened } from "../../state/desk-conversation";
import { keyOf, type Command } from "../../state/desk-keys";
import { isMine, isPresent } from "../../state/desk-list";
import { routeTo } from "../../state/desk-route";
import { icon } from "../icons";
import { composer } from "./composer";
import { avatar } from "./conversation-list";
import { nameOfVisitor, permissionsOf, since, type DeskActionName, type DeskHost } from "./host";
import { deskIcon } from "./icons";

type Part = TemplateResult | typeof nothing;

export function conversationView(host: DeskHost): TemplateResult {
  const { t } = host.words;
  const { opened, page } = host.desk.state;
  if (!opened)
    return html`<section class="conversation none"><div class="empty"><p>${t("desk.none")}</p>
      <p class="keys-hint">${t("desk.none.keys")}</p></div></section>`;
  if (opened.failed === "gone")
    return html`<section class="conversation none"><div class="empty" role="alert"><p>${t("desk.gone")}</p>
      <a class="plain" href=${routeTo(page)}>${t("desk.back")}</a></div></section>`;
  return html`<section class="conversation" aria-labelledby="who">
    ${head(host, opened)} ${actionBar(host, opened)}
    ${keyed(opened.ref, log(host, opened))}
    <div class="footer">${latest()} ${typingLine(host, opened)} ${composer(host, opened)}</div>
  </section>`;
}

/** Filled by the list of messages, which knows whether its end is in sight. */
const latest = (): TemplateResult => html`<div id="latest"></div>`;

function head(host: DeskHost, opened: Opened): TemplateResult {
  const { words, desk, now } = host;
  const { t } = words;
  const name = nameOfVisitor(opened.row, opened.ref, words);
  const present = !!opened.row && isPresent(opened.row, now);
  return html`<div class="conversation-head">
    <a class="icon-button back" href=${routeTo(desk.state.page)} aria-label=${t("desk.back")} title=${t("desk.back")}>${icon("back")}</a>
    ${avatar(name, present, t("desk.present"))}
    <div class="who-line"><h2 id="who" tabindex="-1"><bdi>${name}</bdi></h2>
      <p class="state-line">${stateLine(host, opened)}${viewers(host, opened)}</p></div>
    <button type="button" class="icon-button details-button" aria-expanded=${String(host.detailsOpen)} aria-controls="details"
      aria-label=${t("desk.details")} title=${t("desk.details")} @click=${() => host.toggleDetails()}>${deskIcon("details")}</button>
  </div>`;
}

/** Who answers now, in words. */
function stateLine({ words, desk, now }: DeskHost, opened: Opened): string {
  const { t } = words;
  const { status, handler, assigned_to, row } = opened;
  if (status === "ended") return t("desk.state.ended");
  if (handler === "queue")
    return t("desk.state.queue", { time: since(row?.waiting_since ?? null, now, words) });
  if (handler === "bot") return t("desk.state.bot");
  return isMine(opened, desk.state.me)
    ? t("desk.state.me")
    : t("desk.state.human", { name: assigned_to?.name ?? "" });
}

function viewers({ words: { t }, desk }: DeskHost, { viewers: all }: Opened): Part {
  const { me } = desk.state;
  const others = all.filter((one) => (one.id ? one.id !== me?.id : one.name !== me?.name));
  if (!others.length) return nothing;
  const names = others
    .map((one) => one.name)
    .sort()
    .join(", ");
  return html` <span class="viewers">${t("desk.viewers", { n: others.length, names })}</span>`;
}

function actionBar(host: DeskHost, opened: Opened): Part {
  const { t } = host.words;
  const can = permissionsOf(host.desk.state, opened);
  const button = (action: DeskActionName, command: Command, show: boolean, kind = "plain") =>
    show
      ? html`<button type="button" class=${kind} data-action=${action} title=${keyOf(command)} aria-keyshortcuts=${keyOf(command)}
          @click=${() => host.run(action)}>${t(`desk.action.${action}`)}</button>`
      : nothing;
  if (!can.take && !can.assign && !can.end) return nothing;
  return html`<div class="action-bar" role="group" aria-label=${t("desk.actions")}>
    ${button("take", "take", can.take, can.force ? "plain" : "strong")} ${button("toBot", "toBot", can.toBot)}
    ${button("toQueue", "toQueue", can.toQueue)} ${button("assign", "assign", can.assign)}
    ${button("end", "end", can.end, "plain end")}
  </div>`;
}

function log({ words: { t }, desk }: DeskHost, opened: Opened): TemplateResult {
  return html`<div id="log" class="log" role="log" aria-live="off" aria-label=${t("log")} aria-busy=${String(opened.loading)} tabindex="0">
    ${opened.failed ? html`<p class="empty" role="alert">${t("desk.unreachable")}</p>` : nothing}
    ${
      opened.hasOlder
        ? html`<div class="earlier"><button type="button" class="text-icon-button" ?disabled=${opened.loading}
            @click=${() => void desk.opened?.loadOlder()}>${t("earlier")}</button></div>`
        : nothing
    }
    <div id="messages"></div>
  </div>`;
}

function typingLine({ words, now }: DeskHost, opened: Opened): TemplateResult {
  const { t } = words;
  const { visitorTypesUntil, colleagueTyping } = opened;
  const lines: string[] = [];
  if (visitorTypesUntil > now)
    lines.push(t("desk.typing", { name: nameOfVisitor(opened.row, opened.ref, words) }));
  if (colleagueTyping && colleagueTyping.until > now)
    lines.push(t("desk.typing", { name: colleagueTyping.name }));
  return html`<p class="typing-line">${
    lines.length
      ? html`<span class="typing-indicator" aria-hidden="true"><i></i><i></i><i></i></span>${lines.join(" ")}`
      : nothing
  }</p>`;
}
