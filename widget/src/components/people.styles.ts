/** Styles of what shows people: the queue, who answers, the offer of a person. */
import { css } from "../theme/stylesheet";

export const peopleStyles = css`
.avatar { display: inline-grid; place-items: center; flex: none; min-width: 26px; height: 26px; padding: 0 4px; border-radius: 13px; background: var(--_primary); color: var(--_on-primary); font-size: 11px; font-weight: 700; line-height: 1; letter-spacing: .01em; text-transform: uppercase; }
.read-along { margin-top: 10px; font-size: .9em; color: var(--_text-muted); text-wrap: pretty; }
.notice.people { --_tone: var(--_accent); }
.notice.human { padding-inline-start: 10px; flex-wrap: nowrap; }
.notice.people .more { display: block; color: var(--_text-muted); margin-top: 0; }
.operator .head { align-items: center; }
.operator .who::before { content: none; }
.operator .who { display: flex; align-items: center; gap: 8px; }
.operator .text { margin-inline-start: 34px; }
.operator .foot { margin-inline-start: 34px; }
.thinking .avatar + .typing-indicator { margin-inline-start: -3px; }
.contact { max-height: 100%; overflow: auto; overscroll-behavior: contain; }
.contact label { display: block; margin: 12px 0 5px; font-size: .9em; font-weight: 600; }
.contact textarea { display: block; width: 100%; min-height: 84px; padding: 9px 12px; border: 1px solid var(--_border); border-radius: 10px; background: var(--_surface); font-size: max(16px, .95em); line-height: 1.4; resize: vertical; }
.dialog.contact input { margin-top: 0; }
.contact [aria-invalid=true] { border-color: var(--_error); }
.dialog .problem { color: var(--_error); font-size: .9em; font-weight: 600; }
.dialog .problem:empty { display: none; }
@media (forced-colors: active) { .avatar { border: 1px solid CanvasText; } }
`;
