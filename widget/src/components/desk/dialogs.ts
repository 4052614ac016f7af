/**
 * The dialogs of the desk: before an end or a deletion, whom to assign to, the keys, and the settings. The desk opens
 * each as a modal one, so that the browser keeps the focus inside and hears Escape.
 */
import { html, nothing, type TemplateResult } from "lit";
import { keyOf, type Command } from "../../state/desk-keys";
import { isAtLeast, VIEWS, type Colleague } from "../../state/desk-types";
import type { PreferenceName } from "../../state/desk-preferences";
import { icon } from "../icons";
import "./replies-editor";
import { paletteDialog } from "./palette";
import { switchButton } from "./views";
import "./team";
import type { DeskHost } from "./host";

export function dialogs(host: DeskHost): TemplateResult | typeof nothing {
  switch (host.desk.state.dialog) {
    case "end":
      return confirmation(host, "end", "desk.action.end", () => host.run("end"));
    case "delete":
      return confirmation(host, "delete", "delete.yes", () => {
        host.desk.dialog(null);
        void host.desk.erase();
      });
    case "assign":
      return assignDialog(host);
    case "help":
      return helpDialog(host);
    case "settings":
      return settingsDialog(host);
    case "team":
      return teamDialog(host);
    case "replies":
      return frame(
        host,
        "canned",
        host.words.t("desk.replies"),
        html`<baton-desk-replies .api=${host.desk.api} .words=${host.words} .saved=${host.desk.setReplies}></baton-desk-replies>`,
        "wide",
      );
    case "palette":
      return paletteDialog(host);
    default:
      return nothing;
  }
}

/** `name`: what the dialog is called and what its content is about. */
export function frame(
  host: DeskHost,
  name: string,
  title: string,
  content: TemplateResult,
  kind = "",
): TemplateResult {
  const close = () => host.desk.dialog(null);
  return html`<dialog class="dialog ${kind}" id="dialog-${name}" aria-labelledby="dialog-title" @close=${close} @cancel=${close}
    @click=${(event: Event) => event.target === event.currentTarget && close()}>
    <div class="dialog-body"><div class="dialog-title"><h2 id="dialog-title">${title}</h2>
      <button type="button" class="icon-button" aria-label=${host.words.t("panel.close")} title=${host.words.t("panel.close")} @click=${close}>${icon("close")}</button></div>
      ${content}</div></dialog>`;
}

function confirmation(
  host: DeskHost,
  name: "end" | "delete",
  yes: string,
  confirm: () => void,
): TemplateResult {
  const { t } = host.words;
  const close = () => host.desk.dialog(null);
  return html`<dialog class="dialog" aria-labelledby="dialog-title" aria-describedby="dialog-text" @close=${close} @cancel=${close}
    @click=${(event: Event) => event.target === event.currentTarget && close()}>
    <div class="dialog-body"><h2 id="dialog-title">${t(`${name}.title`)}</h2><p id="dialog-text">${t(`${name}.text`)}</p>
      <div class="choices"><button type="button" class="plain" data-first @click=${close}>${t("cancel")}</button>
        <button type="button" class=${name === "delete" ? "strong danger" : "strong"} @click=${confirm}>${t(yes)}</button></div></div></dialog>`;
}

function assignDialog(host: DeskHost): TemplateResult {
  const { desk, words } = host;
  const { t } = words;
  const { operators, me, opened } = desk.state;
  const others = operators.filter((one) => one.id !== opened?.assigned_to?.id && one.id !== me?.id);
  const assign = async (to: Colleague) => {
    desk.dialog(null);
    if (await desk.release(to.id))
      desk.notice({ key: "assigned", params: { name: to.name }, tone: "info" });
    host.focusLater("#log");
  };
  const choice = (colleague: Colleague) => html`<li>
    <button type="button" class="choice" data-first @click=${() => void assign(colleague)}>
      <span><bdi>${colleague.name}</bdi></span><small class=${colleague.available ? "available" : "away"}>${t(colleague.available ? "desk.available" : "desk.away")}</small></button></li>`;
  const sorted = [...others].sort((a, b) => Number(b.available) - Number(a.available));
  return frame(
    host,
    "assign",
    t("desk.assign.title"),
    others.length
      ? html`<ul class="choice-list">${sorted.map(choice)}</ul>`
      : html`<p>${t("desk.assign.nobody")}</p>`,
  );
}

const ACTIONS: readonly Command[] = ["take", "toBot", "toQueue", "assign", "end"];

function commandKey(command: Command): string {
  if (command.startsWith("view.")) return `desk.${command}`;
  return `desk.${ACTIONS.includes(command) ? "action" : "command"}.${command}`;
}

const HELP: readonly (readonly [group: string, commands: readonly Command[]])[] = [
  ["desk.help.list", ["next", "previous", ...VIEWS.map((view) => `view.${view}` as const)]],
  [
    "desk.help.conversation",
    ["take", "reply", "note", "replies", "toBot", "toQueue", "assign", "end"],
  ],
  ["desk.help.everywhere", ["palette", "help"]],
];

function helpDialog(host: DeskHost): TemplateResult {
  const { t } = host.words;
  const row = (keys: string, words: string) =>
    html`<div><dt><kbd>${keys}</kbd></dt><dd>${words}</dd></div>`;
  return frame(
    host,
    "help",
    t("desk.help"),
    html`<div class="help">${HELP.map(
      ([group, commands]) => html`<section><h3>${t(group)}</h3><dl class="keys">
        ${commands.map((one) => row(keyOf(one), t(commandKey(one))))}
        ${group === "desk.help.list" ? row(t("desk.key.enter"), t("desk.command.open")) : nothing}
        ${group === "desk.help.everywhere" ? row(t("desk.key.escape"), t("desk.command.escape")) : nothing}
      </dl></section>`,
    )}</div>
    <p class="muted">${t("desk.help.fields")}</p>
    ${preference(host, "singleKeys")}`,
    "wide",
  );
}

const preference = (host: DeskHost, name: PreferenceName): TemplateResult =>
  switchButton(host.words.t(`desk.setting.${name}`), host.preferences[name], (on) =>
    host.setPreference(name, on),
  );

function settingsDialog(host: DeskHost): TemplateResult {
  const { t } = host.words;
  const role = host.desk.state.me?.role;
  const open = (dialog: "team" | "replies", words: string) =>
    html`<button type="button" class="plain" @click=${() => host.desk.dialog(dialog)}>${t(words)}</button>`;
  return frame(
    host,
    "settings",
    t("desk.settings"),
    html`<div class="settings">${(["sound", "notifications", "singleKeys"] as const).map((name) => preference(host, name))}</div>
      <div class="choices">${isAtLeast(role, "admin") ? open("team", "desk.team.title") : nothing}
        ${isAtLeast(role, "lead") ? open("replies", "desk.replies") : nothing}
        <button type="button" class="plain" @click=${() => host.desk.dialog("help")}>${t("desk.help")}</button>
        <button type="button" class="plain" @click=${() => void host.desk.signOut()}>${t("desk.signOut")}</button></div>`,
  );
}

function teamDialog(host: DeskHost): TemplateResult {
  const { desk, words } = host;
  return frame(
    host,
    "team",
    words.t("desk.team.title"),
    html`<baton-desk-team .api=${desk.api} .words=${words} .ownId=${desk.state.me?.id ?? ""} .fail=${(error: unknown) => void desk.fail(error)}></baton-desk-team>`,
    "wide",
  );
}
