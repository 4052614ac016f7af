/** Beside the conversation: who the visitor is, where they are, how they rated, and what came before. */
import { html, nothing, type TemplateResult } from "lit";
import { lastRating, type Opened } from "../../state/desk-conversation";
import { isPresent, otherMetadata, pageOf } from "../../state/desk-list";
import { routeTo } from "../../state/desk-route";
import { isAtLeast, type Row } from "../../state/desk-types";
import { safeLink } from "../../dom";
import { icon } from "../icons";
import { nameOfVisitor, since, type DeskHost } from "./host";
import { shortPage } from "./conversation-list";

type Part = TemplateResult | typeof nothing;

export function details(host: DeskHost): Part {
  const { words, desk, detailsOpen } = host;
  const { t } = words;
  const { opened } = desk.state;
  if (!opened || opened.failed === "gone") return nothing;
  return html`<aside id="details" class=${detailsOpen ? "details open" : "details"} aria-label=${t("desk.details")}>
    <div class="details-head"><h2>${t("desk.details")}</h2>
      <button type="button" class="icon-button details-close" aria-label=${t("panel.close")} title=${t("panel.close")} @click=${() => host.toggleDetails()}>${icon("close")}</button></div>
    ${opened.row ? facts(host, opened, opened.row) : nothing} ${rating(host, opened)} ${earlier(host, opened)}
    ${files(host, opened)}
  </aside>`;
}

function facts(host: DeskHost, opened: Opened, row: Row): TemplateResult {
  const { words, now } = host;
  const { t } = words;
  const { user, contact } = row;
  const name = nameOfVisitor(row, opened.ref, words);
  const page = pageOf(row);
  const href = safeLink(page);
  return html`<div class="person"><p class="person-name"><bdi>${name}</bdi></p>
      ${user ? html`<p class="badge verified">${t("desk.verified")}</p>` : html`<p class="badge">${t("desk.anonymous")}</p>`}</div>
    <dl>
      ${user ? html`${fact(t("desk.fact.email"), user.email)}${fact(t("desk.fact.id"), user.id)}` : nothing}
      ${contact ? html`${fact(t("desk.fact.contact"), [contact.name, contact.email].filter(Boolean).join(", "))}` : nothing}
      ${fact(t("desk.fact.reason"), row.reason)}
      <div><dt>${t("desk.fact.presence")}</dt><dd>${
        isPresent(row, now)
          ? t("desk.present")
          : t("desk.seen", { time: since(row.last_seen_at, now, words) })
      }</dd></div>
      ${page ? html`<div><dt>${t("desk.fact.page")}</dt><dd><bdi dir="ltr">${href ? html`<a href=${href} target="_blank" rel="noopener noreferrer nofollow">${shortPage(page)}</a>` : page}</bdi></dd></div>` : nothing}
      <div><dt>${t("desk.fact.begun")}</dt><dd>${words.day(row.created_at)}, ${words.time(row.created_at)}</dd></div>
      ${otherMetadata(row).map(([key, value]) => fact(key, value))}
    </dl>`;
}

const fact = (name: string, value: string | undefined): Part =>
  value ? html`<div><dt><bdi>${name}</bdi></dt><dd><bdi>${value}</bdi></dd></div>` : nothing;

function rating({ words: { t } }: DeskHost, opened: Opened): Part {
  const rated = lastRating(opened);
  if (!rated) return nothing;
  return html`<section><h3>${t("desk.rating")}</h3>
    <p>${t(rated.rating === "up" ? "desk.rating.up" : "desk.rating.down")}</p>
    ${rated.comment ? html`<p class="quote" dir="auto">${rated.comment}</p>` : nothing}</section>`;
}

function earlier(host: DeskHost, opened: Opened): Part {
  const { t } = host.words;
  if (!opened.row?.user) return nothing;
  return html`<section><h3>${t("desk.earlier")}</h3>
    ${
      opened.earlier.length
        ? html`<ul class="earlier-list">${opened.earlier.map(
            (row) => html`<li><a href=${routeTo(host.desk.state.page, row.ref)}>
              <span dir="auto">${row.last_message?.preview || t("desk.noMessages")}</span>
              <small>${host.words.day(row.created_at)}</small></a></li>`,
          )}</ul>`
        : html`<p class="muted">${t("desk.earlier.none")}</p>`
    }</section>`;
}

function files(host: DeskHost, opened: Opened): TemplateResult {
  const { words, desk } = host;
  const { t } = words;
  return html`<div class="files">
    <a class="text-icon-button" href=${desk.transcriptUrl(opened.ref)} download>${icon("download")}${t("transcript")}</a>
    ${
      isAtLeast(desk.state.me?.role, "lead")
        ? html`<button type="button" class="text-icon-button danger-text" @click=${() => desk.dialog("delete")}>${icon("delete")}${t("delete")}</button>`
        : nothing
    }
  </div>`;
}
