/** The menu: what can be done with the conversation as a whole, behind one button. */
import { html, nothing, type TemplateResult } from "lit/html.js";
import type { Language } from "../locales/i18n";
import { isWithPeople } from "../state/reducer";
import type { State } from "../types";
import type { ChatController } from "./chat-controller";
import { icon, type Icon } from "./icons";

export function menu(
  open: boolean,
  state: State,
  words: Language,
  controller: ChatController,
  toggle: (open: boolean) => void,
  people: boolean,
): TemplateResult {
  const t = words.t;
  const started = state.messages.length > 0 && state.status !== "none";
  const exists = started && state.status !== "gone";
  const isActive = exists && state.status !== "ended";
  const item = (
    key: string,
    sign: Icon,
    can: boolean,
    press: () => void,
  ): TemplateResult => html`<li><button type="button" part="button"
    ?disabled=${!can} @click=${() => (toggle(false), press())}>${icon(sign)}${t(key)}</button></li>`;
  const leave = (event: FocusEvent): void => {
    const to = event.relatedTarget as Node | null;
    if (open && to && !(event.currentTarget as Element).contains(to)) toggle(false);
  };
  return html`<div class="actions" @focusout=${leave}>
    <button type="button" id="more" class="icon-button" part="button" aria-label=${t("actions")} title=${t("actions")}
      aria-expanded=${String(open)} aria-controls="menu" @click=${() => toggle(!open)}>${icon("more")}</button>
    ${open ? html`<div class="backdrop" @click=${() => toggle(false)}></div>` : nothing}
    <ul id="menu" class="menu" part="menu" ?hidden=${!open}>
      ${people ? item("people.talk", "person", state.status !== "ended" && !isWithPeople(state), () => controller.talkToPerson()) : nothing}
      ${item("new", "new", state.messages.length > 0 || state.status !== "none", () => controller.startNew())}
      ${item("copylink", "link", isActive && !state.owned, () => void controller.copyLink())}
      ${item("phone", "phone", isActive, () => void controller.continueOnPhone())}
      ${item("transcript", "download", exists, () => void controller.downloadTranscript())}
      ${item("end", "end", isActive, () => controller.openDialog({ kind: "end" }))}
      ${item("delete", "delete", exists && !state.openedBySharedLink, () => controller.openDialog({ kind: "delete" }))}
    </ul>
  </div>`;
}
