/** The dialogs of the chat: before ending, before deleting, and the link where it cannot be copied. */
import type { html as Html, TemplateResult } from "lit/html.js";
import type { Language } from "../locales/i18n";
import type { Conversation } from "../types";
import type { ChatController, ChatHost } from "./chat-controller";

export type DialogKind = { kind: "end" } | { kind: "delete" } | { kind: "link"; url: string };

/** Tab goes round among the buttons as long as the dialog is open; Escape is heard by the chat. */
function trapFocus(event: KeyboardEvent): void {
  if (event.key !== "Tab") return;
  const all = [
    ...(event.currentTarget as HTMLElement).querySelectorAll<HTMLElement>("button, input"),
  ];
  const at = all.indexOf(event.target as HTMLElement);
  const next = all[(at + (event.shiftKey ? -1 : 1) + all.length) % all.length];
  event.preventDefault();
  next?.focus();
}

/** `html` is passed in, because this file is in the messages chunk, which has no copy of Lit. */
export function dialog(
  html: typeof Html,
  dialogKind: DialogKind,
  words: Language,
  controller: ChatController,
  close: () => void,
): TemplateResult {
  const t = words.t;
  const link = dialogKind.kind === "link" ? dialogKind.url : "";
  const confirm = (): void => {
    close();
    void (dialogKind.kind === "end" ? controller.end() : controller.erase());
  };
  return html`<div class="overlay" @click=${(event: Event) => event.target === event.currentTarget && close()}>
    <div class="dialog" part="dialog" role="dialog" aria-modal="true" aria-labelledby="asked" aria-describedby="detail" @keydown=${trapFocus}>
      <h2 id="asked">${t(`${dialogKind.kind}.title`)}</h2>
      <p id="detail">${t(`${dialogKind.kind}.text`)}</p>
      ${
        link
          ? html`<input data-first type="text" readonly dir="ltr" aria-label=${t("link.field")} .value=${link} />`
          : ""
      }
      <div class="choices">
        ${
          link
            ? html`<button type="button" class="plain" part="button" @click=${close}>${t("ok")}</button>`
            : html`
          <button type="button" class="plain" part="button" data-first @click=${close}>${t("cancel")}</button>
          <button type="button" class=${dialogKind.kind === "delete" ? "strong danger" : "strong"} part="button"
            @click=${confirm}>${t(dialogKind.kind === "end" ? "end" : "delete.yes")}</button>`
        }
      </div>
    </div>
  </div>`;
}

/** Opens the question before an end, where there is a chat to end and it is in sight. */
export async function askToEnd(chat: ChatHost): Promise<void> {
  if ((await isGoing(chat.conversation!)) && chat.offsetParent) chat.openDialog({ kind: "end" });
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
