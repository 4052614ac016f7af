/** The look of the canned replies that leads change. */
import { css } from "../../theme/stylesheet";

export const editorStyles = css`
:host { display: block; }
*, *::before, *::after { box-sizing: border-box; }
form { display: grid; gap: 14px; align-items: stretch; }
label { display: grid; gap: 3px; flex: 1 1 10em; font-size: .9em; color: var(--_text-muted); }
input, select, textarea, button { font: inherit; color: var(--_text); margin: 0; }
input, select, textarea { width: 100%; min-height: 40px; padding: 7px 11px; border: 1px solid var(--_border); border-radius: 10px; background: var(--_surface); font-size: max(1em, 15px); }
textarea { resize: vertical; }
:focus-visible { outline: 2px solid var(--_accent); outline-offset: 2px; }
button { min-height: 40px; padding: 0 14px; border-radius: 10px; border: 1px solid var(--_divider); background: var(--_surface-raised); font-weight: 600; cursor: pointer; white-space: nowrap; }
button:hover { background: var(--_surface-sunken); }
.strong { border-color: transparent; background: var(--_primary); color: var(--_on-primary); }
.strong:hover { background: var(--_primary); filter: brightness(1.08); }
.quiet { border-color: transparent; background: none; padding-inline: 10px; color: var(--_accent); }
.danger { color: var(--_error); }
[role=status]:not(:empty) { margin-top: 14px; }
.row-end { display: flex; gap: 8px; margin-top: 8px; }
.row-end { justify-content: flex-end; }
.reply { display: flex; flex-wrap: wrap; align-items: flex-end; gap: 8px; }
.reply label { flex: 0 1 9em; }
.reply .wide { flex: 1 1 16em; }
`;
