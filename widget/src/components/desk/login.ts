/** What stands in place of the desk while nobody is logged in. */
import { html, nothing, type TemplateResult } from "lit";
import type { DeskHost } from "./host";

export function loginView(host: DeskHost): TemplateResult {
  const { t } = host.words;
  const { login, loginError } = host.desk.state;
  return html`<main class="login"><div class="login-card">
    <h1 class="brand"><i class="mark"></i><span><bdi>${host.siteTitle}</bdi> ${t("desk.title")}</span></h1>
    <p role="status">${t(`desk.login.${loginError || login}`)}</p>
    ${login === "signedOut" || login === "expired" ? html`<p class="muted">${t(host.oidcUrl ? "desk.login.or" : "desk.login.how")}</p>` : nothing}
    <div class="login-choices">${choices(host)}</div>
  </div></main>`;
}

function choices(host: DeskHost): TemplateResult {
  const { desk, words, oidcUrl } = host;
  const { t } = words;
  const { login, signingIn } = desk.state;
  if (login === "unreachable")
    return html`<button type="button" class="plain" @click=${() => void desk.retry()}>${t("retry")}</button>`;
  const invited = login === "invited";
  const button = html`<button type="button" class="strong" ?disabled=${signingIn} @click=${() => void desk.signIn()}>${t(signingIn ? "desk.login.working" : "desk.login.signIn")}</button>`;
  const link = html`<a class=${invited ? "plain" : "strong"} href=${oidcUrl ?? ""}>${t("desk.login.oidc")}</a>`;
  return html`${invited ? button : nothing}${oidcUrl ? link : nothing}`;
}
