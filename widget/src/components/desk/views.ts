/** The desk's navigation: the views with their counts, Analytics, and the operator's own switch and settings. */
import { html, nothing, type TemplateResult } from "lit";
import { keyOf } from "../../state/desk-keys";
import { routeTo } from "../../state/desk-route";
import { isAtLeast, VIEWS } from "../../state/desk-types";
import { deskIcon } from "./icons";
import type { DeskHost } from "./host";

export function viewsNav(host: DeskHost): TemplateResult {
  const { t } = host.words;
  const { counts, page, me } = host.desk.state;
  const link = (name: (typeof VIEWS)[number]) => html`<li>
    <a href=${routeTo(name)} aria-current=${page === name ? "page" : nothing} title=${keyOf(`view.${name}`)} class=${name === "queue" && counts.queue ? "view urgent" : "view"}>
      ${deskIcon(name)}<span class="view-name">${t(`desk.view.${name}`)}</span>
      <span class="count">${counts[name]}</span></a></li>`;
  return html`<header class="sidebar">
    <p class="brand" aria-hidden="true"><i class="mark"></i><span><bdi>${host.siteTitle}</bdi> ${t("desk.title")}</span></p>
    <nav class="views" aria-label=${t("desk.views")}>
      <ul>${VIEWS.map(link)}
        ${
          isAtLeast(me?.role, "lead")
            ? html`<li class="apart"><a href=${routeTo("analytics")} aria-current=${page === "analytics" ? "page" : nothing} class="view" title=${t("desk.analytics")}>${deskIcon("analytics")}<span class="view-name">${t("desk.analytics")}</span></a></li>`
            : nothing
        }
      </ul>
    </nav>
    ${operator(host)}
  </header>`;
}

function operator(host: DeskHost): TemplateResult {
  const { t } = host.words;
  const { me, available } = host.desk.state;
  const answers = isAtLeast(me?.role, "operator");
  return html`<div class="operator">
    ${answers ? switchButton(t("desk.available"), available, (on) => void host.desk.setAvailable(on)) : nothing}
    <div class="operator-row">
      <span class="operator-name"><bdi>${me?.name}</bdi> <small>${t(`desk.role.${me?.role ?? "viewer"}`)}</small></span>
      <button type="button" class="icon-button" aria-haspopup="dialog" aria-label=${t("desk.settings")} title=${t("desk.settings")}
        @click=${() => host.desk.dialog("settings")}>${deskIcon("settings")}</button>
    </div>
  </div>`;
}

export function switchButton(
  name: string,
  on: boolean,
  change: (on: boolean) => void,
): TemplateResult {
  return html`<button type="button" role="switch" class="switch" aria-checked=${String(on)} @click=${() => change(!on)}>
    <span>${name}</span><i aria-hidden="true"></i></button>`;
}
