/** Styles of the daily counts: figures, plots with their tables, and the questions without an answer. */
import { css } from "../../theme/stylesheet";

export const analyticsStyles = css`
:host { display: block; color: var(--_text); overflow-wrap: normal; }
* { box-sizing: border-box; margin: 0; padding: 0; }
:focus-visible { outline: 2px solid var(--_accent); outline-offset: 2px; }
h2:focus, h3:focus { outline: 0; }
.page { display: grid; gap: 18px; max-width: 1180px; margin-inline: auto; }
.head { display: flex; flex-wrap: wrap; align-items: center; gap: 10px 16px; }
h2 { flex: 1 0 auto; font-size: 1.25em; font-weight: 660; letter-spacing: -.012em; }
h3, figcaption { font-size: 1em; font-weight: 660; }
.periods { display: flex; border: 1px solid var(--_border); border-radius: 10px; overflow: clip; }
button { font: inherit; color: inherit; cursor: pointer; }
.periods button { min-height: 40px; padding: 0 14px; border: 0; background: var(--_surface-raised); }
.periods button + button { border-inline-start: 1px solid var(--_divider); }
.periods button:hover { background: var(--_surface-sunken); }
.periods button:focus-visible { outline-offset: -2px; }
.periods [aria-pressed=true], .periods [aria-pressed=true]:hover { background: var(--_primary); color: var(--_on-primary); font-weight: 650; }
.download { display: inline-flex; align-items: center; min-height: 40px; padding: 0 14px; border: 1px solid var(--_border); border-radius: 10px; background: var(--_surface-raised); color: var(--_text); font-weight: 600; text-decoration: none; }
.download:hover { background: var(--_surface-sunken); }
.status:empty { display: none; }
.status, .hint { color: var(--_text-muted); }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; }
.figures div { display: flex; flex-direction: column-reverse; justify-content: flex-end; gap: 2px; padding: 14px 16px; border: 1px solid var(--_divider); border-radius: 14px; background: var(--_surface-raised); }
.figures dt { color: var(--_text-muted); font-size: .92em; line-height: 1.3; }
.figures dd { font-size: 1.7em; font-weight: 680; letter-spacing: -.02em; font-variant-numeric: tabular-nums; line-height: 1.2; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 330px), 1fr)); gap: 16px; }
.plots:has(details[open]) { align-items: start; }
figure { display: flex; flex-direction: column; gap: 8px; min-width: 0; padding: 14px 16px; border: 1px solid var(--_divider); border-radius: 14px; background: var(--_surface-raised); }
.legend { display: flex; flex-wrap: wrap; gap: 2px 14px; list-style: none; font-size: .9em; color: var(--_text-muted); }
.legend i { display: inline-block; width: 10px; height: 10px; margin-inline-end: 6px; border-radius: 3px; }
.plot { display: grid; grid-template: 120px auto / auto minmax(0, 1fr); gap: 4px 8px; margin-top: auto; }
.scale { display: flex; flex-direction: column; justify-content: space-between; margin-block: -.6em; text-align: end; }
.scale, .ends { font-size: .82em; line-height: 1.2; color: var(--_text-muted); font-variant-numeric: tabular-nums; }
.ends { grid-column: 2; display: flex; justify-content: space-between; }
svg { width: 100%; height: 100%; overflow: visible; }
svg.rtl { transform: scaleX(-1); }
.grid { stroke: var(--_divider); vector-effect: non-scaling-stroke; }
polyline { fill: none; stroke: var(--_accent); stroke-width: 2; stroke-linejoin: round; vector-effect: non-scaling-stroke; }
.series-0 { fill: var(--_accent); background: var(--_accent); }
.series-1 { fill: color-mix(in oklab, var(--_text-muted) 62%, var(--_surface-raised)); background: color-mix(in oklab, var(--_text-muted) 62%, var(--_surface-raised)); }
.series-2 { fill: var(--_warning); background: var(--_warning); }
.series-3 { fill: var(--_error); background: var(--_error); }
details { font-size: .94em; }
summary { display: inline-flex; align-items: center; min-height: 32px; cursor: pointer; color: var(--_text-muted); text-decoration: underline; text-underline-offset: 3px; list-style: none; }
summary::-webkit-details-marker { display: none; }
.table { max-height: 300px; overflow: auto; overscroll-behavior: contain; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 5px 8px; text-align: end; border-bottom: 1px solid var(--_divider); }
th:first-child { text-align: start; font-weight: 400; white-space: nowrap; }
thead th { position: sticky; top: 0; background: var(--_surface-raised); font-weight: 600; }
.unanswered { display: grid; gap: 10px; justify-items: start; }
.questions { width: 100%; list-style: none; display: grid; }
.questions li { display: flex; flex-wrap: wrap; align-items: baseline; gap: 4px 12px; padding: 8px 0; border-bottom: 1px solid var(--_divider); }
.questions q { flex: 1 1 240px; min-width: 0; overflow-wrap: anywhere; quotes: none; }
.questions small { color: var(--_text-muted); font-size: .9em; }
.times { min-width: 3.2em; font-weight: 650; font-variant-numeric: tabular-nums; }
.erase { min-height: 36px; padding: 0 12px; border: 1px solid var(--_border); border-radius: 10px; background: none; }
.erase:hover { background: var(--_surface-sunken); }
.erase.sure { border-color: var(--_error); color: var(--_error); font-weight: 650; }
.visually-hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
@media (forced-colors: active) {
  .periods [aria-pressed=true] { background: Highlight; color: HighlightText; forced-color-adjust: none; }
  .series-0, .series-1, .series-2, .series-3 { forced-color-adjust: none; }
}
`;
