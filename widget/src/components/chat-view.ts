/** What the chat shows around its messages, as templates. */
import { html, nothing, type TemplateResult } from "lit/html.js";
import { getChunk } from "../client/lazy-chunks";
import type { State } from "../types";
import type { BatonChat } from "./chat";
import { composer } from "./composer";
import { icon } from "./icons";
import { menu } from "./menu";
import { statusLines } from "./status-banner";

type Part = TemplateResult | typeof nothing;

export function chatView(chat: BatonChat, state: State): TemplateResult {
  const { t, dir, tag } = chat.words;
  const page = !__WIDGET__ && chat.variant === "page";
  const aside = page ? getChunk<typeof import("./sources")>("aside")?.asideView : undefined;
  const { dialog, people } = chat,
    onKey = (event: KeyboardEvent): void => chat.onKey(event);
  return html`<div class="chat" part="chat" dir=${dir} lang=${tag} @keydown=${onKey} @keypress=${onKey} @keyup=${onKey}>
    <div class="layout" ?inert=${!!dialog} aria-hidden=${dialog ? "true" : nothing}>
      ${header(chat, state, page)}
      <div class="body">
        <div class="main">
          ${page ? html`<h2 class="visually-hidden">${t("log")}</h2>` : nothing}
          <div id="log" class="log" part="log" role="log" aria-live="off" aria-label=${t("log")} aria-busy=${String(state.loading)} tabindex="0">
            ${intro(chat, state)} ${olderButton(chat, state)}
            <div id="messages"></div>
          </div>
          <div class="footer" part="footer dock">
            ${jumpToLatest(chat)} ${notices(chat, state)}
            ${composer({
              state,
              words: chat.words,
              send: (text) => chat.send(text),
              stop: () => {
                void chat.conversation!.stop();
                chat.focusQuietly();
              },
              onInput: (text) => chat.onInput(text),
              hint: people?.composerHint(state),
              draft: chat.field?.value ?? chat.conversation!.draft,
            })}
          </div>
        </div>
        ${aside ? aside(state, chat.words) : nothing}
      </div>
      <div id="live" class="visually-hidden" aria-live="polite" aria-atomic="false"></div>
    </div>
    ${
      dialog?.kind === "contact"
        ? people!.contactDialog(html, dialog, chat)
        : dialog
          ? getChunk<typeof import("../messages.chunk")>("messages")!.dialog(
              html,
              dialog,
              chat.words,
              chat.controller,
              () => chat.closeDialog(),
            )
          : nothing
    }
  </div>`;
}

const iconButton = (name: string, sign: TemplateResult, press: () => void): TemplateResult =>
  html`<button type="button" class="icon-button" part="button" aria-label=${name} title=${name} @click=${press}>${sign}</button>`;

const textIconButton = (words: string, press: () => void): TemplateResult =>
  html`<button type="button" class="text-icon-button" part="button" @click=${press}>${words}</button>`;

function header(chat: BatonChat, state: State, page: boolean): TemplateResult {
  const t = chat.words.t;
  const { title: given, logoUrl, assistantName = "" } = chat.options;
  const title = html`<bdi>${given || t("title")}</bdi>`;
  return html`<header class="header" part="header">
    ${page && chat.controller.canGoBack() ? iconButton(t("back"), icon("back"), () => chat.controller.back()) : nothing}
    ${given || logoUrl ? logo([...(given || assistantName)][0], logoUrl) : html`<i class="mark"></i>`}
    ${page ? html`<h1 part="title">${title}</h1>` : html`<h2 part="title">${title}</h2>`}
    ${page ? nothing : iconButton(t("fullpage"), icon("page"), () => void chat.controller.openPage())}
    ${menu(chat.menu, state, chat.words, chat.controller, (open) => chat.toggleMenu(open), !!chat.people)}
    ${!page && chat.onClose ? iconButton(t(chat.compact ? "launcher.close" : "panel.close"), icon("close"), () => chat.onClose!()) : nothing}
  </header>`;
}

/** The site's logo; its initial where there is none, or where the page's CSP forbids images. */
const logo = (initial: string | undefined, url: string | undefined): TemplateResult =>
  html`<b class="logo" aria-hidden="true">${initial}${url ? html`<img src=${url} alt="" referrerpolicy="no-referrer" @error=${(event: Event) => (event.target as Element).remove()} />` : nothing}</b>`;

function intro(chat: BatonChat, state: State): Part {
  const { t } = chat.words;
  if (state.loading && !state.messages.length)
    return html`<p class="loading"><span class="typing-indicator" aria-hidden="true"><i></i><i></i><i></i></span>${t("loading")}</p>`;
  if (state.hasOlder) return nothing;
  const { greeting, suggestions = [] } = chat.options;
  const begun = state.messages.length > 0 || state.waiting || !!state.answering;
  return html`<div class=${begun ? "intro begun" : "intro"} part="greeting">
    <p class=${greeting && greeting.length > 60 ? "greeting long" : "greeting"} dir="auto">${greeting || t("greeting")}</p>
    ${begun || greeting ? nothing : html`<p class="more">${t("greeting.more")}</p>`}
    ${chat.people?.readAlong(html, chat.words) ?? nothing}
    ${
      begun || !suggestions.length
        ? nothing
        : html`<ul class="suggestions" aria-label=${t("suggestions")}>${suggestions.map(
            (text) => html`<li>
      <button type="button" part="suggestion" dir="auto" @click=${() => chat.send(text, true)}>${text}</button></li>`,
          )}</ul>`
    }
  </div>`;
}

function olderButton(chat: BatonChat, state: State): Part {
  if (!state.hasOlder || state.loading) return nothing;
  return html`<div class="earlier">${textIconButton(chat.words.t("earlier"), () => void chat.conversation!.loadOlder())}</div>`;
}

function jumpToLatest(chat: BatonChat): Part {
  const log = chat.messageList;
  if (!log || log.scroller.isAtEnd) return nothing;
  const words = chat.words.t("words.new");
  return html`<button type="button" class=${log.unseen ? "latest news" : "latest"} part="button" aria-label=${words}
    @click=${() => log.scroller.follow("end")}>${icon("latest")}${log.unseen ? words : nothing}</button>`;
}

function notices(chat: BatonChat, state: State): TemplateResult {
  const t = chat.words.t;
  return html`<div class="notices" role="status" aria-atomic="false" part="notices">
    ${chat.people?.peopleLine(state, chat) ?? nothing}
    ${statusLines(state, chat.words).map(
      (
        line,
      ) => html`<div class=${line.key === "answerFailed" ? "visually-hidden" : `notice ${line.tone}`} part="notice">
      <span aria-live=${line.counting ? "off" : nothing}>${line.lead ? html`<bdi>${line.lead}</bdi><br />` : nothing}${line.text}</span>
      ${!__WIDGET__ && line.notYoursOffer ? html`<span class="not-yours">${t("handed")} ${textIconButton(t("handed.new"), () => chat.controller.startNew())}</span>` : nothing}
      ${line.offerNewChat ? textIconButton(t("new"), () => chat.controller.startNew()) : nothing}</div>`,
    )}
    ${
      chat.blockedPopupUrl
        ? html`<div class="notice info" part="notice"><span>${t("page.ready")}</span>
      <a class="text-icon-button" href=${chat.blockedPopupUrl} target="_blank" rel="noopener noreferrer" @click=${() => chat.offerBlockedPage("")}>${t("fullpage")}</a></div>`
        : nothing
    }
    ${chat.toast ? html`<div class="notice toast" part="notice"><span>${chat.toast}</span></div>` : nothing}
  </div>`;
}
