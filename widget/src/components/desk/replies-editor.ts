/** `<baton-desk-replies>`: for leads, the canned replies of all operators. */
import { html, LitElement, nothing, type TemplateResult } from "lit";
import { live } from "lit/directives/live.js";
import { language, type Language } from "../../locales/i18n";
import { css, sheet } from "../../theme/stylesheet";
import type { DeskApi, DeskError } from "../../client/desk-api";
import type { Reply } from "../../state/desk-types";
import { formStyles } from "./form.styles";

const repliesStyles = css`
form { display: grid; gap: 14px; align-items: stretch; }
label { color: var(--_text-muted); }
input, textarea { width: 100%; background: var(--_surface); color: var(--_text); font-size: max(1em, 15px); }
textarea { padding-block: 7px; resize: vertical; }
button { padding: 0 14px; font-weight: 600; }
.quiet { border-color: transparent; background: none; }
.danger { color: var(--_error); }
[role=status]:not(:empty) { margin-top: 14px; }
.none { color: var(--_text-muted); }
.row-end { display: flex; justify-content: flex-end; gap: 8px; margin-top: 8px; }
.reply { display: flex; flex-wrap: wrap; align-items: flex-end; gap: 8px; }
.reply label { flex: 0 1 9em; }
.reply .wide { flex: 1 1 16em; }
`;

export class DeskReplies extends LitElement {
  api!: DeskApi;
  words: Language = language();
  /** Called with what was saved. */
  saved: (replies: Reply[]) => void = () => {};
  #replies: Reply[] = [];
  #loaded = false;
  #message = "";

  static override styles = [sheet(formStyles), sheet(repliesStyles)];

  override connectedCallback(): void {
    super.connectedCallback();
    void this.api.replies().then(
      (found) => {
        this.#loaded = true;
        this.#show(found);
      },
      () => this.#say("desk.notice.error"),
    );
  }

  #show(replies: Reply[]): void {
    this.#replies = replies;
    this.requestUpdate();
  }

  #say(key: string): void {
    this.#message = this.words.t(key);
    this.requestUpdate();
  }

  async #save(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const replies = this.#replies.map(({ shortcut, text }) => ({
      shortcut: shortcut.trim().replace(/^\//, ""),
      text,
    }));
    try {
      await this.api.saveReplies(replies);
      this.saved(replies);
      this.#say("desk.replies.saved");
    } catch (error) {
      const refused = (error as DeskError).code === "invalid_request";
      this.#say(refused ? "desk.replies.refused" : "desk.notice.error");
    }
  }

  #change(index: number, change: Partial<Reply>): void {
    this.#message = "";
    this.#show(this.#replies.map((reply, i) => (i === index ? { ...reply, ...change } : reply)));
  }

  override render(): TemplateResult {
    const { t } = this.words;
    const add = () => {
      this.#show([...this.#replies, { shortcut: "", text: "" }]);
      void this.updateComplete.then(() =>
        [...this.renderRoot.querySelectorAll("input")].at(-1)?.focus(),
      );
    };
    return html`<form @submit=${(event: SubmitEvent) => void this.#save(event)}>
      ${this.#loaded && !this.#replies.length ? html`<p class="none">${t("desk.replies.none")}</p>` : nothing}
      ${this.#replies.map((one, at) => this.#row(one, at))}
      <div class="row-end"><button type="button" class="plain" @click=${add}>${t("desk.replies.add")}</button>
        <button class="strong">${t("desk.replies.save")}</button></div>
      <div role="status">${this.#message}</div>
    </form>`;
  }

  #row({ shortcut, text }: Reply, at: number): TemplateResult {
    const { t } = this.words;
    const value = (event: Event) => (event.target as HTMLInputElement).value;
    return html`<div class="reply">
      <label>${t("desk.replies.shortcut")}<input required maxlength="40" autocomplete="off" .value=${live(shortcut)} @input=${(event: Event) => this.#change(at, { shortcut: value(event) })} /></label>
      <label class="wide">${t("desk.replies.text")}<textarea required rows="2" maxlength="4000" dir="auto" .value=${live(text)} @input=${(event: Event) => this.#change(at, { text: value(event) })}></textarea></label>
      <button type="button" class="quiet danger" aria-label="${t("desk.replies.delete")}: ${shortcut}" @click=${() => this.#show(this.#replies.filter((_, index) => index !== at))}>${t("desk.replies.delete")}</button>
    </div>`;
  }
}

customElements.define("baton-desk-replies", DeskReplies);
