/** On the wide page: the sources of the latest answer, with the passages that were used. */
import { html, nothing, type TemplateResult } from "lit/html.js";
import type { Language } from "../locales/i18n";
import { safeLink } from "../dom";
import type { State } from "../types";
import { citationsOf } from "./message";

export { asideStyles } from "./sources.styles";

function host(url: string): string {
  try {
    return new URL(url).host;
  } catch {
    return "";
  }
}

/** Given to the chat by the full page only; the panel has no room for it. */
export function asideView(state: State, words: Language): TemplateResult | typeof nothing {
  const cited = state.messages.findLast(
    (message) => message.role === "assistant" && citationsOf(message).length > 0,
  );
  if (!cited) return nothing;
  const sources = citationsOf(cited);
  const t = words.t;
  return html`<aside class="aside" part="sources" aria-label=${t("sources")}>
    <h2>${t("sources")}</h2>
    <ol>${sources.map((source, i) => {
      const href = safeLink(source.url);
      const inner = html`<b>${i + 1}</b><span class="card-title" dir="auto">${source.title}</span>`;
      return html`<li class="card">
        ${href ? html`<a href=${href} target="_blank" rel="noopener noreferrer nofollow">${inner}</a>` : inner}
        <p dir="auto">${source.snippet ?? ""}</p>
        <span class="host" dir="ltr">${href ? host(href) : ""}</span>
      </li>`;
    })}</ol>
  </aside>`;
}
