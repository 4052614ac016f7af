/** The list of a view: who, their last words, what page they are on, how long they wait, unread, and who answers. */
import { html, nothing, type TemplateResult } from "lit";
import { repeat } from "lit/directives/repeat.js";
import { isMine, isPresent, lastActivity, pageOf } from "../../state/desk-list";
import { visibleRows, type DeskState } from "../../state/desk-reducer";
import { routeTo } from "../../state/desk-route";
import { isAtLeast, type Row } from "../../state/desk-types";
import { initials } from "../initials";
import { toSpeechText } from "../live-region";
import { nameOfVisitor, since, type DeskHost } from "./host";
import { deskIcon } from "./icons";
import { botName } from "./reader";

type Part = TemplateResult | typeof nothing;

/** A wait that is longer is marked. */
const LONG_WAIT_MS = 120_000;

export function conversationList(host: DeskHost): Part {
  const { desk, words } = host;
  const { t } = words;
  const { state } = desk;
  if (state.page === "analytics") return nothing;
  const rows = visibleRows(state);
  return html`<section class="list-pane" aria-labelledby="view-title">
    <div class="list-head">
      <h2 id="view-title">${t(`desk.view.${state.page}`)}</h2>
      <label class="search">${deskIcon("search")}<input type="search" aria-label=${t("desk.search")} placeholder=${t("desk.search")} dir="auto"
        .value=${state.query} @input=${(event: Event) => desk.search((event.target as HTMLInputElement).value)} /></label>
    </div>
    <div class="list-body" aria-busy=${String(state.list.loading)}>
      <ul class="rows" role="list" aria-label=${t("desk.conversations")}>
        ${repeat(
          rows,
          (row) => row.ref,
          (row) => rowItem(host, row, state),
        )}
      </ul>
      ${rows.length ? nothing : emptyList(host, state)} ${footer(host, state)}
    </div>
  </section>`;
}

function emptyList(host: DeskHost, { list, query, page }: DeskState): Part {
  const { t } = host.words;
  if (list.failed)
    return html`<div class="empty" role="alert"><p>${t("desk.list.failed")}</p>
      <button type="button" class="plain" @click=${() => host.desk.reloadList()}>${t("retry")}</button></div>`;
  if (list.loading) return html`<p class="empty">${t("desk.list.loading")}</p>`;
  return html`<div class="empty"><p>${t(query ? "desk.empty.search" : `desk.empty.${page}`)}</p>
    ${page === "queue" && !query ? awayHint(host) : nothing}</div>`;
}

/** Nobody new waits as long as nobody is available: an empty queue says so. */
function awayHint({ desk, words: { t } }: DeskHost): Part {
  const { me, available } = desk.state;
  if (available || !isAtLeast(me?.role, "operator")) return nothing;
  return html`<p>${t("desk.away.hint")}</p>
    <button type="button" class="strong" @click=${() => void desk.setAvailable(true)}>${t("desk.goAvailable")}</button>`;
}

const footer = (host: DeskHost, { list }: DeskState): Part =>
  list.cursor && !list.failed
    ? html`<button type="button" class="text-icon-button more-rows" ?disabled=${list.loading}
        @click=${() => host.desk.loadMore()}>${host.words.t("desk.list.more")}</button>`
    : nothing;

function rowItem(host: DeskHost, row: Row, state: DeskState): TemplateResult {
  const { words, now } = host;
  const { t } = words;
  const name = nameOfVisitor(row, row.ref, words);
  const current = state.opened?.ref === row.ref;
  return html`<li>
    <a class=${row.unread ? "row unread" : "row"} href=${routeTo(state.page, row.ref)} data-ref=${row.ref} aria-current=${current ? "true" : nothing}>
      ${avatar(name, isPresent(row, now), words.t("desk.present"))}
      <span class="row-body">
        <span class="row-line"><b class="row-name"><bdi>${name}</bdi></b>
          <span class="row-time">${since(lastActivity(row), now, words)}</span></span>
        <span class="row-line"><span class="row-preview">${preview(host, row, state)}</span>
          ${row.unread ? html`<span class="unread-count">${row.unread}<span class="visually-hidden"> ${t("desk.unread", { n: row.unread })}</span></span>` : nothing}</span>
        <span class="row-line row-meta">${handlerChip(host, row, state)}${pageLabel(row)}</span>
      </span>
    </a>
  </li>`;
}

export function avatar(name: string, present: boolean, word: string): TemplateResult {
  return html`<span class="avatar" aria-hidden="true">${initials(name)}${present ? html`<i class="present"></i>` : nothing}</span>
    ${present ? html`<span class="visually-hidden">${word}</span>` : nothing}`;
}

/** Who said the last words stands before them, unless it was the visitor. The words alone give the direction. */
function preview(host: DeskHost, { last_message: last }: Row, { me }: DeskState): Part {
  const { t } = host.words;
  if (!last) return html`<em>${t("desk.noMessages")}</em>`;
  const by = last.author?.name === me?.name ? t("desk.me") : last.author?.name;
  const who = last.role === "user" ? "" : by || botName(host);
  const words = last.role === "user" ? last.preview : toSpeechText(last.preview);
  return html`${who ? html`<span class="row-who"><bdi>${who}</bdi>: </span>` : nothing}<span class="row-words" dir="auto">${words}</span>`;
}

function handlerChip(host: DeskHost, row: Row, { me }: DeskState): TemplateResult {
  const { words, now } = host;
  const { t } = words;
  if (row.status === "ended") return html`<span class="handler">${t("desk.handler.ended")}</span>`;
  if (row.handler === "queue") {
    const from = row.waiting_since ?? row.created_at;
    const long = now - Date.parse(from) > LONG_WAIT_MS;
    return html`<span class=${long ? "handler waiting long" : "handler waiting"}>${t("desk.handler.queue", { time: since(from, now, words) })}</span>`;
  }
  if (row.handler === "bot") return html`<span class="handler">${t("desk.handler.bot")}</span>`;
  const mine = isMine(row, me);
  return html`<span class=${mine ? "handler mine" : "handler"}>${mine ? t("desk.handler.me") : (row.assigned_to?.name ?? "")}</span>`;
}

function pageLabel(row: Row): Part {
  const page = pageOf(row);
  return page
    ? html`<span class="row-page" title=${page}><bdi dir="ltr">${shortPage(page)}</bdi></span>`
    : nothing;
}

/** The path of an address, as people read it: the site is the same for all. */
export function shortPage(page: string): string {
  try {
    const { pathname, search } = new URL(page);
    const words = decodeURI(pathname + search);
    return /[\p{C}\p{Z}]/u.test(words) ? pathname + search : words;
  } catch {
    return page;
  }
}
