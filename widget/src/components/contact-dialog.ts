/** Nobody is there: a message for later, with a name and a mail address for those who like. In the people chunk. */
import type { html as Html, TemplateResult } from "lit/html.js";
import type { Language } from "../locales/i18n";
import type { ChatHost } from "./chat-controller";
import { trapFocus } from "./trap-focus";

export interface ContactDialog {
  kind: "contact";
  /** The key of what is wrong with what was entered; empty where nothing is. */
  problem: "" | "people.missing" | "people.wrong" | "people.failed";
  sending: boolean;
}

/** Something before and after one @, and a dot after it: the service looks closer. */
const MAIL = /^[^\s@]+@[^\s@]+\.[^\s@]+$/;

export function contactDialog(
  html: typeof Html,
  dialog: ContactDialog,
  chat: ChatHost,
): TemplateResult {
  const { t }: Language = chat.words;
  const { problem, sending } = dialog;
  const needsMessage = !chat.conversation!.state.messages.some((one) => one.role === "user");
  const close = () => chat.closeDialog();
  const submit = (event: Event) => {
    event.preventDefault();
    if (!sending) void send(chat, dialog, event.target as HTMLFormElement, needsMessage);
  };
  const invalid = (key: ContactDialog["problem"]) => (problem === key ? "true" : "false");
  return html`<div class="overlay">
    <div class="dialog contact" part="dialog" role="dialog" aria-modal="true" aria-labelledby="asked" aria-describedby="detail" @keydown=${trapFocus}>
      <h2 id="asked">${t("people.nobody")}</h2>
      <p id="detail">${t("people.nobody.more")}</p>
      <form novalidate @submit=${submit}>
      <label for="contact-message">${t(needsMessage ? "people.message" : "people.message.more")}</label>
      <textarea data-first id="contact-message" name="message" rows="3" dir="auto" maxlength="2000" aria-invalid=${invalid("people.missing")} aria-describedby="contact-problem"></textarea>
      <label for="contact-name">${t("people.name")}</label>
      <input id="contact-name" name="name" type="text" dir="auto" maxlength="100" autocomplete="name" />
      <label for="contact-email">${t("people.email")}</label>
      <input id="contact-email" name="email" type="email" dir="ltr" maxlength="254" autocomplete="email" aria-invalid=${invalid("people.wrong")} aria-describedby="contact-problem" />
      <p id="contact-problem" class="problem" role="alert">${problem ? t(problem) : ""}</p>
      <div class="choices">
        <button type="button" class="plain" part="button" @click=${close}>${t("cancel")}</button>
        <button type="submit" class="strong" part="button">${t(sending ? "sending" : "people.leave.send")}</button>
      </div>
      </form>
    </div>
  </div>`;
}

async function send(
  chat: ChatHost,
  dialog: ContactDialog,
  form: HTMLFormElement,
  needsMessage: boolean,
): Promise<void> {
  const field = (name: string) =>
    form.querySelector<HTMLInputElement | HTMLTextAreaElement>(`[name=${name}]`)!;
  const valueOf = (name: string) => field(name).value.trim() || undefined;
  const [text, name, email] = [valueOf("message"), valueOf("name"), valueOf("email")];
  const fail = (problem: ContactDialog["problem"], at?: string) => {
    Object.assign(dialog, { problem, sending: false });
    chat.requestUpdate();
    if (at) field(at).focus();
  };
  if (!text && (needsMessage || !(name || email))) return fail("people.missing", "message");
  if (email && !MAIL.test(email)) return fail("people.wrong", "email");
  Object.assign(dialog, { problem: "", sending: true });
  chat.requestUpdate();
  try {
    await chat.conversation!.people!.leave(text, { name, email });
    chat.closeDialog();
  } catch (error) {
    const refused = (error as { code?: string }).code === "invalid_request";
    fail(refused && email ? "people.wrong" : "people.failed");
  }
}
