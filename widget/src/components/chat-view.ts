/** What the chat shows around its messages, as templates. */
import { html, nothing, type TemplateResult } from "lit/html.js";
import { part } from "../client/lazy-chunks";
import type { State } from "../types";
import type { BatonChat } from "./chat";
import { composer } from "./composer";
import { icon, mark } from "./icons";
import { actions } from "./menu";
import { lines } from "./status-banner";

type Part = TemplateResult | typeof nothing;

export function chatView(chat: BatonChat, state: State): TemplateResult {
  const { t, dir, tag } = chat.words;
  const page = !__WIDGET__ && chat.variant === "page";
  const aside = page ? part<typeof import("./sources")>("aside")?.asideView : undefined;
  const asking = chat.asking, pressed = (event: KeyboardEvent): void => chat.pressed(event);
  return html`<div class="chat" part="chat" dir=${dir} lang=${tag} @keydown=${pressed} @keypress=${pressed} @keyup=${pressed}>
    <div class="whole" ?inert=${!!asking} aria-hidden=${asking ? "true" : nothing}>
      ${header(chat, state, page)}
      <div class="body">
        <div class="main">
          ${page ? html`<h2 class="unseen">${t("log")}</h2>` : nothing}
          <div id="log" class="log" part="log" role="log" aria-live="off" aria-label=${t("log")} aria-busy=${String(state.loading)} tabindex="0">
            ${intro(chat, state)} ${older(chat, state)}
            <div id="messages"></div>
          </div>
          <div class="dock" part="dock">
            ${latest(chat)} ${notices(chat, state)}
            ${composer({
              state, words: chat.words, send: (text) => chat.send(text), stop: () => { void chat.conversation!.stop(); chat.focus(); },
              typed: (text) => chat.typed(text), draft: chat.field?.value ?? chat.conversation!.draft,
            })}
          </div>
        </div>
        ${aside ? aside(state, chat.words) : nothing}
      </div>
      <div id="live" class="unseen" aria-live="polite" aria-atomic="false"></div>
    </div>
    ${asking ? part<typeof import("../messages.chunk")>("talk")!.dialog(html, asking, chat.words, chat.deeds, () => chat.answer()) : nothing}
  </div>`;
}

const tool = (name: string, sign: TemplateResult, press: () => void): TemplateResult =>
  html`<button type="button" class="tool" part="button" aria-label=${name} title=${name} @click=${press}>${sign}</button>`;

const labelled = (words: string, press: () => void): TemplateResult =>
  html`<button type="button" class="labelled" part="button" @click=${press}>${words}</button>`;

function header(chat: BatonChat, state: State, page: boolean): TemplateResult {
  const t = chat.words.t;
  const title = html`<bdi>${chat.options.title || t("title")}</bdi>`;
  return html`<header class="header" part="header">
    ${page && chat.deeds.canGoBack() ? tool(t("back"), icon("back"), () => chat.deeds.back()) : nothing}
    ${mark}
    ${page ? html`<h1 part="title">${title}</h1>` : html`<h2 part="title">${title}</h2>`}
    ${page ? nothing : tool(t("fullpage"), icon("page"), () => void chat.deeds.openPage())}
    ${actions(chat.menu, state, chat.words, chat.deeds, (open) => chat.expand(open))}
    ${!page && chat.dismiss ? tool(t(chat.compact ? "launcher.close" : "panel.close"), icon("close"), () => chat.dismiss!()) : nothing}
  </header>`;
}

function intro(chat: BatonChat, state: State): Part {
  const { t } = chat.words;
  if (state.loading && !state.messages.length) return html`<p class="loading"><span class="batons" aria-hidden="true"><i></i><i></i><i></i></span>${t("loading")}…</p>`;
  if (state.hasOlder) return nothing;
  const { greeting, suggestions = [] } = chat.options;
  const begun = state.messages.length > 0 || state.waiting || !!state.answering;
  return html`<div class=${begun ? "intro begun" : "intro"} part="greeting">
    <p class=${greeting && greeting.length > 60 ? "greeting long" : "greeting"} dir="auto">${greeting || t("greeting")}</p>
    ${begun || greeting ? nothing : html`<p class="more">${t("greeting.more")}</p>`}
    ${begun || !suggestions.length ? nothing : html`<ul class="suggestions" aria-label=${t("suggestions")}>${suggestions.map((text) => html`<li>
      <button type="button" part="suggestion" dir="auto" @click=${() => chat.send(text, true)}>${text}</button></li>`)}</ul>`}
  </div>`;
}

function older(chat: BatonChat, state: State): Part {
  if (!state.hasOlder || state.loading) return nothing;
  return html`<div class="earlier">${labelled(chat.words.t("earlier"), () => void chat.conversation!.older())}</div>`;
}

function latest(chat: BatonChat): Part {
  const log = chat.log;
  if (!log || log.follower.following) return nothing;
  const words = chat.words.t("words.new");
  return html`<button type="button" class=${log.unseen ? "latest news" : "latest"} part="button" aria-label=${words}
    @click=${() => log.follower.toEnd()}>${icon("latest")}${log.unseen ? words : nothing}</button>`;
}

function notices(chat: BatonChat, state: State): TemplateResult {
  const t = chat.words.t;
  return html`<div class="notices" role="status" part="notices">
    ${lines(state, chat.words).map((line) => html`<div class=${line.key === "answerFailed" ? "unseen" : `notice ${line.tone}`} part="notice">
      <span aria-live=${line.counting ? "off" : nothing}>${line.lead ? html`<bdi>${line.lead}</bdi><br />` : nothing}${line.text}</span>
      ${!__WIDGET__ && line.doubt ? html`<span class="doubt">${t("handed")} ${labelled(t("handed.new"), () => chat.deeds.fresh())}</span>` : nothing}
      ${line.renew ? labelled(t("new"), () => chat.deeds.fresh()) : nothing}</div>`)}
    ${chat.held ? html`<div class="notice info" part="notice"><span>${t("page.ready")}</span>
      <a class="labelled" href=${chat.held} target="_blank" rel="noopener noreferrer" @click=${() => chat.hold("")}>${t("fullpage")}</a></div>` : nothing}
    ${chat.said ? html`<div class="notice said" part="notice"><span>${chat.said}</span></div>` : nothing}
  </div>`;
}
