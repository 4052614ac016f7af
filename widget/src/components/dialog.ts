/** The dialogs of the chat: before ending, before deleting, and the link where it cannot be copied. */
import type { html as Html, TemplateResult } from "lit/html.js";
import type { Language } from "../locales/i18n";
import type { PhoneDialog } from "../phone.chunk";
import type { Conversation } from "../types";
import type { ChatController, ChatHost } from "./chat-controller";
import type { ContactDialog } from "./contact-dialog";
import { trapFocus } from "./trap-focus";

export type DialogKind =
  | { kind: "end" }
  | { kind: "delete" }
  | { kind: "link"; url: string }
  | PhoneDialog
  | ContactDialog;

/** `html` is passed in, because this file is in the messages chunk, which has no copy of Lit. */
export function dialog(
  html: typeof Html,
  dialogKind: Exclude<DialogKind, ContactDialog>,
  words: Language,
  controller: ChatController,
  close: () => void,
): TemplateResult {
  const t = words.t;
  const link = dialogKind.kind === "link" ? dialogKind.url : "";
  const confirm = (): void => {
    close();
    if (dialogKind.kind === "end") void controller.end();
    else void controller.erase();
  };
  const plainButton = (key: string) =>
    html`<button type="button" class="plain" part="button" data-first @click=${close}>${t(key)}</button>`;
  const choices = {
    qr: () => plainButton("panel.close"),
    link: () =>
      html`<button type="button" class="plain" part="button" @click=${close}>${t("ok")}</button>`,
    end: () => html`${plainButton("cancel")}
      <button type="button" class="strong" part="button" @click=${confirm}>${t("end")}</button>`,
    delete: () => html`${plainButton("cancel")}
      <button type="button" class="strong danger" part="button" @click=${confirm}>${t("delete.yes")}</button>`,
  };
  return html`<div class="overlay" @click=${(event: Event) => event.target === event.currentTarget && close()}>
    <div class="dialog" part="dialog" role="dialog" aria-modal="true" aria-labelledby="asked" aria-describedby="detail" @keydown=${trapFocus}>
      <h2 id="asked">${t(`${dialogKind.kind}.title`)}</h2>
      <p id="detail">${t(`${dialogKind.kind}.text`)}</p>
      ${dialogKind.kind === "qr" ? phoneCode(html, dialogKind, words) : ""}
      ${
        link
          ? html`<input data-first type="text" readonly dir="ltr" aria-label=${t("link.field")} .value=${link} />`
          : ""
      }
      <div class="choices">${choices[dialogKind.kind]()}</div>
    </div>
  </div>`;
}

/** The code and how long it is good for. */
function phoneCode(
  html: typeof Html,
  { code, until }: PhoneDialog,
  { t }: Language,
): TemplateResult {
  const n = Math.max(1, Math.ceil((until - Date.now()) / 60_000));
  return html`<div class="qr-place">${code}</div>
    <p>${code ? t("qr.valid", { n }) : t("qr.making")}</p>`;
}

/** Opens the question before an end, where there is a chat to end and it is in sight. */
export async function askToEnd(chat: ChatHost): Promise<void> {
  if ((await isGoing(chat.conversation!)) && chat.offsetParent)
    await chat.openDialog({ kind: "end" });
}

/** Whether there is a chat to end, known within three seconds: a conversation is restored first. */
function isGoing(conversation: Conversation): Promise<boolean> {
  return new Promise((done) => {
    const check = (): void => {
      if (/active|abandoned/.test(conversation.state.status)) settle(true);
    };
    const settle = (result: boolean): void => {
      clearTimeout(timer);
      stop();
      done(result);
    };
    const timer = setTimeout(settle, 3000, false);
    const stop = conversation.subscribe(check);
    check();
  });
}
