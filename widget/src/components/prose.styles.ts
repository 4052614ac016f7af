/** Styles of an answer's Markdown. */
import { css } from "../theme/stylesheet";

export const proseStyles = css`
.text > * { margin: 0; }
.text > * + * { margin-top: .72em; }
.text :is(.h1, .h2, .h3, .h4) { font-weight: 660; line-height: 1.32; letter-spacing: -.01em; }
.text > * + :is(.h1, .h2, .h3, .h4) { margin-top: 1.15em; }
.text .h1 { font-size: 1.24em; }
.text .h2 { font-size: 1.14em; }
.text .h3 { font-size: 1.04em; }
.text .h4 { font-size: 1em; color: var(--_text-muted); }
.text p { white-space: pre-line; }
.text a:not(.chip) { color: var(--_accent); text-decoration: underline; text-decoration-thickness: 1px; text-underline-offset: 3px; }
.text a:not(.chip):hover { text-decoration-thickness: 2px; }
.text :is(ul, ol) { margin-inline: 0; padding-inline-start: 1.45em; }
.text > :is(ul, ol) > li + li { margin-top: .28em; }
.text li > :is(ul, ol) { margin-top: .22em; }
.text li > p + p, .text li + li > p { margin-top: .5em; }
.text :is(li, th, td) { unicode-bidi: plaintext; }
.text li::marker { color: var(--_text-muted); font-variant-numeric: tabular-nums; }
.text .task { list-style: none; }
.box { display: inline-block; width: 15px; height: 15px; margin-inline: -1.45em .45em; vertical-align: -2px; border: 1.5px solid var(--_border); border-radius: 4px; }
.box.done { background: var(--_accent); border-color: var(--_accent); }
.box.done::after { content: ""; display: block; width: 4px; height: 8px; margin: .5px auto 0; border: solid var(--_surface); border-width: 0 2px 2px 0; rotate: 42deg; }
.text blockquote { padding-block: 1px; padding-inline: 14px 0; border-inline-start: 3px solid var(--_divider); color: var(--_text-muted); }
.text blockquote > * + * { margin-top: .5em; }
.text hr { border: 0; height: 1px; background: var(--_divider); margin-block: 1.1em; }
.text code { font: .9em/1.5 var(--_mono); background: var(--_surface-sunken); padding: .12em .34em; border-radius: 5px; -webkit-box-decoration-break: clone; box-decoration-break: clone; }
.code { border: 1px solid var(--_divider); border-radius: 12px; overflow: clip; background: var(--_surface-sunken); direction: ltr; }
.bar { display: flex; align-items: center; justify-content: space-between; min-height: 44px; padding-inline-start: 14px; border-bottom: 1px solid var(--_divider); font-size: .84em; color: var(--_text-muted); }
.text-button { min-height: 44px; padding: 0 14px; border: 0; background: none; color: var(--_text-muted); font-weight: 600; cursor: pointer; }
.text-button:hover { color: var(--_text); }
.text-button:focus-visible { outline-offset: -3px; border-radius: 10px; }
.code pre { margin: 0; padding: 12px 14px; background: linear-gradient(to left, var(--_surface-sunken) 40%, transparent) 100% 0 / 36px 100% no-repeat local, linear-gradient(to left, color-mix(in oklab, var(--_text) 24%, transparent), transparent) 100% 0 / 18px 100% no-repeat; overflow: auto; scrollbar-width: thin; tab-size: 4; line-height: 1.45; text-align: left; }
.code pre:focus-visible, .table:focus-visible { outline-offset: -2px; }
.code pre code { padding: 0; background: none; font-size: .875em; line-height: inherit; white-space: pre; overflow-wrap: normal; }
.table { overflow: auto; border: 1px solid var(--_divider); border-radius: 12px; scrollbar-width: thin; scrollbar-color: var(--_border) transparent; }
.table { background: linear-gradient(to left, var(--_surface) 40%, transparent) 100% 0 / 36px 100% no-repeat local, linear-gradient(to left, color-mix(in oklab, var(--_text) 24%, transparent), transparent) 100% 0 / 18px 100% no-repeat; }
table { border-collapse: collapse; width: max-content; min-width: 100%; font-size: .93em; line-height: 1.42; overflow-wrap: normal; font-variant-numeric: tabular-nums; }
th, td { padding: 8px 13px; text-align: start; vertical-align: top; min-width: 5em; max-width: 17em; }
th { background: color-mix(in oklab, var(--_text) 5%, transparent); font-weight: 640; }
tr + tr > td, tbody td { border-top: 1px solid var(--_divider); }
.nowrap { white-space: nowrap; }
.chip { display: inline-grid; place-items: center; min-width: 1.62em; height: 1.62em; padding: 0 .4em; margin-inline: .18em .06em; border-radius: .55em; background: var(--_user-bubble); color: var(--_text); font-size: .74em; font-weight: 680; line-height: 1; vertical-align: .16em; text-decoration: none; font-variant-numeric: tabular-nums; }
a.chip:hover { background: var(--_primary); color: var(--_on-primary); }
@media (forced-colors: active) { .chip, .code, .table { border: 1px solid CanvasText; } }
`;
