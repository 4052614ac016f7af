/** Where the visitor writes: a text field that grows, and Send or Stop. */
import { html, type TemplateResult } from "lit/html.js";
import type { Language } from "../locales/i18n";
import type { State } from "../types";
import { icon } from "./icons";

export interface ComposerParts {
  state: State;
  words: Language;
  draft: string;
  /** The key of the placeholder, where a person answers. */
  hint: string | undefined;
  send(text: string): void;
  stop(): void;
  onInput(text: string): void;
}

/** Lets the field be as high as its text; the style sheet says how high at most. */
export function autoGrow(field: HTMLTextAreaElement): void {
  if (CSS.supports?.("field-sizing", "content")) return;
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight}px`;
}

function sendOnEnter(event: KeyboardEvent, send: () => void): void {
  // While an input method composes a word, Enter belongs to it (229 is how Safari says so).
  if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
  event.preventDefault();
  send();
}

function hint(state: State): string {
  if (state.status === "ended" || state.status === "gone") return "composer.again";
  return state.messages.length ? "composer.next" : "composer.hint";
}

export function composer(parts: ComposerParts): TemplateResult {
  const {
    state,
    words: { t, dir },
    draft,
  } = parts;
  const busy = state.waiting || !!state.answering;
  const field = (event: Event): HTMLTextAreaElement =>
    (event.currentTarget as Element).closest("form")!.querySelector("textarea")!;
  const send = (event: Event): void => {
    event.preventDefault();
    parts.send(field(event).value);
  };
  return html`<form class="composer" part="composer" @submit=${send}>
    <textarea part="input" rows="1" dir=${draft ? "auto" : dir} aria-label=${t("composer")} aria-describedby="keys" placeholder=${t(parts.hint ?? hint(state))}
      enterkeyhint="send" autocomplete="off"
      @input=${(event: Event) => parts.onInput(field(event).value)}
      @keydown=${(event: KeyboardEvent) => sendOnEnter(event, () => parts.send(field(event).value))}></textarea>
    ${
      busy
        ? html`<button type="button" class="send-button" part="button send" aria-label=${t("stop")} title=${t("stop")} @click=${parts.stop}>${icon("stop")}</button>`
        : html`<button type="submit" class="send-button" part="button send" aria-label=${t("send")} title=${t("send")}
          ?disabled=${!draft.trim() || state.wait > 0}>${icon("send")}</button>`
    }
    <span id="keys" class="visually-hidden">${t("composer.keys")}</span>
  </form>`;
}
