/** Where an operator writes: a reply to the visitor, or a note for colleagues; and the canned replies. */
import { html, nothing, type TemplateResult } from "lit";
import { live } from "lit/directives/live.js";
import type { Opened } from "../../state/desk-conversation";
import { isAtLeast, type Reply } from "../../state/desk-types";
import { permissionsOf, type DeskHost } from "./host";

type Part = TemplateResult | typeof nothing;
type FieldName = "reply" | "note";

const MAX_SHOWN = 8;

/** The canned replies whose shortcut or text has what was typed after the slash; those that begin with it first. */
function matchingReplies(replies: readonly Reply[], filter: string): Reply[] {
  const wanted = filter.toLocaleLowerCase();
  const rank = ({ shortcut, text }: Reply): number => {
    const name = shortcut.replace(/^\//, "").toLocaleLowerCase();
    if (name.startsWith(wanted)) return 0;
    return name.includes(wanted) || text.toLocaleLowerCase().includes(wanted) ? 1 : 2;
  };
  return replies
    .filter((one) => rank(one) < 2)
    .sort((one, other) => rank(one) - rank(other))
    .slice(0, MAX_SHOWN);
}

export function composer(host: DeskHost, opened: Opened): Part {
  const { desk, words } = host;
  const { t } = words;
  if (!isAtLeast(desk.state.me?.role, "operator"))
    return html`<p class="read-only">${t("desk.readOnly")}</p>`;
  const can = permissionsOf(desk.state, opened);
  const active = host.activeField;
  const send = (event: Event) => {
    event.preventDefault();
    sendActive(host, opened);
  };
  const text = active === "reply" ? opened.replyDraft : opened.noteDraft;
  return html`<form class="desk-composer" data-active=${active} @submit=${send}>
    ${cannedReplies(host)}
    ${field(host, opened, "reply", can.write, replyHint(host, opened, can.write))}
    ${field(host, opened, "note", true, t("desk.note.hint"))}
    <div class="send-row"><span class="hint" id="send-hint">${t(active === "note" ? "desk.hint.note" : "desk.hint.reply")}</span>
      <button type="submit" class=${active === "note" ? "strong note-send" : "strong"} aria-describedby="send-hint" ?disabled=${!text.trim()}>${t("send")}</button></div>
  </form>`;
}

function replyHint({ words: { t } }: DeskHost, opened: Opened, can: boolean): string {
  if (can) return t(opened.handler === "human" ? "desk.reply.hint" : "desk.reply.takes");
  if (opened.status === "ended") return t("desk.state.ended");
  return t("desk.reply.others", { name: opened.assigned_to?.name ?? "" });
}

function field(
  host: DeskHost,
  opened: Opened,
  name: FieldName,
  enabled: boolean,
  hint: string,
): TemplateResult {
  const { words } = host;
  const value = name === "reply" ? opened.replyDraft : opened.noteDraft;
  const picking = name === "reply" && host.replyFilter !== null;
  return html`<textarea id=${name} class="field" rows="1" aria-label=${words.t(`desk.${name}`)} placeholder=${hint}
    dir=${value ? "auto" : words.dir} ?disabled=${!enabled} .value=${live(value)} autocomplete="off"
    aria-describedby="send-hint"
    aria-autocomplete=${name === "reply" ? "list" : nothing} aria-haspopup=${name === "reply" ? "listbox" : nothing}
    aria-controls=${picking ? "replies" : nothing} aria-activedescendant=${picking ? `reply-${host.replyIndex}` : nothing}
    @focus=${() => host.change({ activeField: name })}
    @input=${(event: Event) => onInput(host, name, (event.target as HTMLTextAreaElement).value)}
    @keydown=${(event: KeyboardEvent) => onKey(host, opened, name, event)}></textarea>`;
}

function onInput(host: DeskHost, name: FieldName, text: string): void {
  host.desk.opened?.setDraft(name === "reply" ? "replyDraft" : "noteDraft", text);
  // A slash at the very beginning asks for a canned reply, as long as nothing but its name follows.
  const filter = name === "reply" ? (/^\/(\S*)$/.exec(text)?.[1] ?? null) : null;
  if (filter !== host.replyFilter) host.change({ replyFilter: filter, replyIndex: 0 });
}

function onKey(host: DeskHost, opened: Opened, name: FieldName, event: KeyboardEvent): void {
  // While an input method composes a word, its keys belong to it (229 is how Safari says so).
  if (event.isComposing || event.keyCode === 229) return;
  if (name === "reply" && host.replyFilter !== null && onPickerKey(host, event)) {
    event.preventDefault();
    event.stopPropagation();
    return;
  }
  if (event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    sendActive(host, opened);
  } else if (event.key === "Escape") {
    event.preventDefault();
    event.stopPropagation();
    host.focusLater("#log");
  }
}

/** True where the key was for the canned replies. */
function onPickerKey(host: DeskHost, { key }: KeyboardEvent): boolean {
  if (key === "Escape") return leavePicker(host);
  const replies = matchingReplies(host.desk.state.replies, host.replyFilter!);
  const step = { ArrowDown: 1, ArrowUp: -1 }[key];
  // A slash alone asks for the replies; no visitor is sent it.
  if (!replies.length) return key === "Enter" && !host.replyFilter;
  if (!step && key !== "Enter" && key !== "Tab") return false;
  if (step) host.change({ replyIndex: (host.replyIndex + step + replies.length) % replies.length });
  else pick(host, replies[host.replyIndex]!);
  return true;
}

/** The slash that asked for them goes, too. */
function leavePicker(host: DeskHost): true {
  host.change({ replyFilter: null });
  if (host.desk.state.opened?.replyDraft === "/") host.desk.opened?.setDraft("replyDraft", "");
  return true;
}

function pick(host: DeskHost, reply: Reply): void {
  host.change({ replyFilter: null, replyIndex: 0 });
  host.desk.opened?.setDraft("replyDraft", reply.text);
  host.focusLater("#reply");
}

function cannedReplies(host: DeskHost): Part {
  if (host.replyFilter === null) return nothing;
  const { t } = host.words;
  const replies = matchingReplies(host.desk.state.replies, host.replyFilter);
  if (!replies.length)
    return html`<p class="replies none" role="status">${t(host.desk.state.replies.length ? "desk.replies.noMatch" : "desk.replies.none")}</p>`;
  return html`<ul id="replies" class="replies" role="listbox" aria-label=${t("desk.replies")}>
    ${replies.map(
      (
        reply,
        index,
      ) => html`<li id="reply-${index}" role="option" aria-selected=${String(index === host.replyIndex)}
        @pointerdown=${(event: Event) => event.preventDefault()} @click=${() => pick(host, reply)}>
        <kbd dir="ltr">/${reply.shortcut.replace(/^\//, "")}</kbd><span dir="auto">${reply.text}</span></li>`,
    )}
  </ul>`;
}

/** Sends what stands in the field that was written in last. */
function sendActive(host: DeskHost, opened: Opened): void {
  const conversation = host.desk.opened;
  host.change({ replyFilter: null });
  if (host.activeField === "note") void conversation?.addNote(opened.noteDraft);
  else if (permissionsOf(host.desk.state, opened).write) void conversation?.send(opened.replyDraft);
  host.focusLater(`#${host.activeField}`);
}
