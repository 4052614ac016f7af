/** Ctrl+K: every command, view and conversation that is known, found by typing. */
import { html, nothing, type TemplateResult } from "lit";
import { keyOf, type Command } from "../../state/desk-keys";
import { VIEWS } from "../../state/desk-types";
import { isAtLeast } from "../../state/desk-types";
import { nameOfVisitor, permissionsOf, type DeskActionName, type DeskHost } from "./host";

interface Entry {
  name: string;
  detail: string;
  run(): void;
}

const MAX_SHOWN = 9;
const MAX_CONVERSATIONS = 200;

function paletteEntries(host: DeskHost): Entry[] {
  const wanted = host.paletteText.trim().toLocaleLowerCase();
  return [...actions(host), ...places(host), ...conversations(host)]
    .filter(({ name, detail }) => `${name} ${detail}`.toLocaleLowerCase().includes(wanted))
    .slice(0, MAX_SHOWN);
}

function actions(host: DeskHost): Entry[] {
  const { desk, words } = host;
  const { opened } = desk.state;
  if (!opened) return [];
  const can = permissionsOf(desk.state, opened);
  const possible: [DeskActionName, Command, boolean][] = [
    ["take", "take", can.take],
    ["toBot", "toBot", can.toBot],
    ["toQueue", "toQueue", can.toQueue],
    ["assign", "assign", can.assign],
    ["end", "end", can.end],
  ];
  return possible
    .filter(([, , may]) => may)
    .map(([action, command]) => ({
      name: words.t(`desk.action.${action}`),
      detail: keyOf(command),
      run: () => host.run(action),
    }));
}

function places(host: DeskHost): Entry[] {
  const { desk, words } = host;
  const { t } = words;
  const { available, me } = desk.state;
  const entry = (name: string, detail: string, run: () => void): Entry => ({ name, detail, run });
  const entries = VIEWS.map((view) =>
    entry(t(`desk.view.${view}`), keyOf(`view.${view}`), () => desk.go(view)),
  );
  if (isAtLeast(me?.role, "lead"))
    entries.push(entry(t("desk.analytics"), "", () => desk.go("analytics")));
  if (isAtLeast(me?.role, "operator"))
    entries.push(
      entry(
        t(available ? "desk.goAway" : "desk.goAvailable"),
        "",
        () => void desk.setAvailable(!available),
      ),
    );
  if (isAtLeast(me?.role, "admin"))
    entries.push(entry(t("desk.team.title"), "", () => desk.dialog("team")));
  if (isAtLeast(me?.role, "lead"))
    entries.push(entry(t("desk.replies"), "", () => desk.dialog("replies")));
  entries.push(entry(t("desk.help"), keyOf("help"), () => desk.dialog("help")));
  entries.push(entry(t("desk.settings"), "", () => desk.dialog("settings")));
  entries.push(entry(t("desk.signOut"), "", () => void desk.signOut()));
  return entries;
}

function conversations({ desk, words }: DeskHost): Entry[] {
  const { rows, page } = desk.state;
  const place = page === "analytics" ? "open" : page;
  return [...rows.values()]
    .slice(-MAX_CONVERSATIONS)
    .reverse()
    .map((row) => ({
      name: nameOfVisitor(row, row.ref, words),
      detail: row.last_message?.preview ?? "",
      run: () => desk.go(place, row.ref),
    }));
}

export function paletteDialog(host: DeskHost): TemplateResult {
  const { desk, words, paletteIndex } = host;
  const { t } = words;
  const entries = paletteEntries(host);
  const close = () => desk.dialog(null);
  const run = (entry: Entry | undefined) => {
    close();
    entry?.run();
  };
  const onKey = (event: KeyboardEvent) => {
    if (event.isComposing || event.keyCode === 229) return;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && entries.length)
      host.change({ paletteIndex: (paletteIndex + step + entries.length) % entries.length });
    else if (event.key === "Enter") run(entries[paletteIndex]);
    else return;
    event.preventDefault();
  };
  return html`<dialog class="dialog palette" aria-label=${t("desk.command.palette")} @close=${close} @cancel=${close}
    @click=${(event: Event) => event.target === event.currentTarget && close()}>
    <input type="text" role="combobox" aria-label=${t("desk.palette")} placeholder=${t("desk.palette")} aria-expanded="true" aria-controls="palette-list"
      aria-activedescendant=${entries.length ? `palette-${paletteIndex}` : nothing} aria-autocomplete="list" autocomplete="off" dir="auto"
      .value=${host.paletteText} @keydown=${onKey}
      @input=${(event: Event) => host.change({ paletteText: (event.target as HTMLInputElement).value, paletteIndex: 0 })} />
    <ul id="palette-list" role="listbox" aria-label=${t("desk.command.palette")}>
      ${entries.map(
        (
          entry,
          at,
        ) => html`<li id="palette-${at}" role="option" aria-selected=${String(at === paletteIndex)}
          @pointerdown=${(event: Event) => event.preventDefault()} @click=${() => run(entry)}>
          <span class="entry-name" dir="auto">${entry.name}</span><span class="entry-detail" dir="auto">${entry.detail}</span></li>`,
      )}
    </ul>
    ${entries.length ? nothing : html`<p class="muted" role="status">${t("desk.palette.nothing")}</p>`}
  </dialog>`;
}
