/** `<baton-desk-team>`: the operators, for admins: who there is, a login link for somebody, and removal. */
import { html, LitElement, nothing, type TemplateResult } from "lit";
import type { DeskApi, DeskError } from "../../client/desk-api";
import { language, type Language } from "../../locales/i18n";
import { ROLES, type Role, type Teammate } from "../../state/desk-types";
import { css, sheet } from "../../theme/stylesheet";
import { formStyles } from "./form.styles";

const teamStyles = css`
button.sure { border-color: var(--_error); color: var(--_error); }
.status:empty { display: none; }
.status, small { color: var(--_text-muted); }
ul { list-style: none; display: grid; gap: 6px; margin-block: 12px 18px; }
li { display: flex; flex-wrap: wrap; align-items: center; gap: 6px 8px; }
li > span { flex: 1 1 12em; min-width: 0; overflow-wrap: anywhere; }
small { display: block; font-size: .88em; }
form, .link { display: flex; flex-wrap: wrap; align-items: end; gap: 10px; }
form { padding-top: 16px; border-top: 1px solid var(--_divider); }
label:first-child { flex: 1 1 12em; }
.link { margin-top: 14px; }
.link label { flex: 1 1 16em; }
.link input { width: 100%; font-family: ui-monospace, monospace; }
.link p { flex: 1 0 100%; color: var(--_text-muted); font-size: .92em; }
`;

export class BatonDeskTeam extends LitElement {
  api!: Pick<DeskApi, "team" | "invite" | "inviteAgain" | "removeOperator">;
  words: Language = language();
  /** Who looks at it: nobody removes themselves by mistake. */
  ownId = "";
  fail: (error: DeskError) => void = () => {};

  #people: Teammate[] | null = null;
  #link: { name: string; url: string } | null = null;
  #copied = false;
  /** Whose "Remove" was pressed once. */
  #asked = "";

  static override styles = [sheet(formStyles), sheet(teamStyles)];

  override connectedCallback(): void {
    super.connectedCallback();
    void this.#do(async () => {});
  }

  #t(key: string, params?: Record<string, string>): string {
    return this.words.t(`desk.team.${key}`, params);
  }

  /** Does something and reads the list again; the desk shows an error. */
  async #do(act: () => Promise<void>): Promise<void> {
    try {
      await act();
      this.#people = await this.api.team();
    } catch (error) {
      this.fail(error as DeskError);
    }
    this.requestUpdate();
  }

  #show(name: string, url: string): void {
    this.#link = { name, url };
    this.#copied = false;
    void this.updateComplete.then(() =>
      this.renderRoot.querySelector<HTMLInputElement>(".link input")?.select(),
    );
  }

  #invite(event: SubmitEvent): void {
    event.preventDefault();
    const form = event.target as HTMLFormElement;
    const given = new FormData(form);
    const name = String(given.get("name")).trim();
    if (!name) return;
    void this.#do(async () => {
      this.#show(name, await this.api.invite(name, given.get("role") as Role));
      form.reset();
    });
  }

  #remove(teammate: Teammate): void {
    const sure = this.#asked === teammate.id;
    this.#asked = sure ? "" : teammate.id;
    if (sure) void this.#do(() => this.api.removeOperator(teammate.id));
    else this.requestUpdate();
  }

  async #copy(): Promise<void> {
    const field = this.renderRoot.querySelector<HTMLInputElement>(".link input");
    field?.select();
    try {
      await navigator.clipboard.writeText(field?.value ?? "");
      this.#copied = true;
      this.requestUpdate();
    } catch {
      /* where the browser forbids it, the link stays selected */
    }
  }

  override render(): TemplateResult {
    const { dir, t } = this.words;
    const people = this.#people;
    return html`<div dir=${dir}>
      <p class="status" role="status">${people ? (this.#copied ? this.#t("copied") : "") : this.#t("loading")}</p>
      ${people ? html`<ul aria-label=${this.#t("title")}>${people.map((one) => this.#row(one))}</ul>` : nothing}
      <form @submit=${(event: SubmitEvent) => this.#invite(event)}>
        <label>${this.#t("name")}<input name="name" required maxlength="60" autocomplete="off"></label>
        <label>${this.#t("role")}<select name="role">
          ${ROLES.map((role) => html`<option value=${role} ?selected=${role === "operator"}>${t(`desk.role.${role}`)}</option>`)}
        </select></label>
        <button class="strong">${this.#t("invite")}</button>
      </form>
      ${this.#link ? this.#invitation(this.#link) : nothing}
    </div>`;
  }

  #row(teammate: Teammate): TemplateResult {
    const { t } = this.words;
    const state = teammate.available ? "desk.available" : "desk.away";
    const again = () =>
      void this.#do(async () => this.#show(teammate.name, await this.api.inviteAgain(teammate.id)));
    const sure = this.#asked === teammate.id;
    return html`<li><span><bdi>${teammate.name}</bdi><small>${t(`desk.role.${teammate.role}`)} · ${t(state)}</small></span>
      <button type="button" aria-label=${this.#t("linkFor", { name: teammate.name })} @click=${again}>${this.#t("newLink")}</button>
      ${
        teammate.id === this.ownId
          ? nothing
          : html`<button type="button" class=${sure ? "sure" : ""} aria-label=${this.#t(sure ? "sureFor" : "removeFor", { name: teammate.name })}
              @click=${() => this.#remove(teammate)}>${this.#t(sure ? "sure" : "remove")}</button>`
      }</li>`;
  }

  #invitation({ name, url }: { name: string; url: string }): TemplateResult {
    return html`<div class="link">
      <label>${this.#t("link", { name })}<input readonly .value=${url} dir="ltr"></label>
      <button type="button" @click=${() => void this.#copy()}>${this.#t("copy")}</button>
      <p>${this.#t("linkHint")}</p>
    </div>`;
  }
}

customElements.define("baton-desk-team", BatonDeskTeam);
