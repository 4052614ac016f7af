/** The look of messages: an answer reads like a page, a question stands in a bubble of its own. */
import { css } from "../css";

export const messageStyles = css`
.message { position: relative; margin-bottom: 18px; content-visibility: auto; contain-intrinsic-size: auto 120px; outline-offset: 6px; border-radius: 4px; }
.message:last-child, .message.live { content-visibility: visible; }
.head { display: flex; align-items: baseline; gap: 8px; margin-bottom: 3px; font-size: .84em; color: var(--_muted); }
.who { font-weight: 650; color: var(--_ink); }
.assistant .who::before { content: ""; display: inline-block; width: 4px; height: .86em; margin-inline-end: 9px; margin-inline-start: 3px; border-radius: 2px; background: var(--_accent); rotate: 32deg; vertical-align: -.06em; }
time { font-variant-numeric: tabular-nums; }
.user { display: flex; flex-direction: column; align-items: flex-end; }
.user .head { margin: 0 4px 4px; }
.user .who { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.user .text { max-width: min(88%, 34rem); padding: 9px 15px; border-radius: 18px; border-end-end-radius: 5px; background: var(--_own); }
.typed { white-space: pre-wrap; }
.user.pending .text { opacity: .72; }
.user.failed .text { background: none; box-shadow: inset 0 0 0 1px var(--_error); }
.system .text { padding: 8px 14px; border-radius: 11px; background: var(--_sunken); font-size: .92em; color: var(--_muted); }
.day { display: flex; align-items: center; gap: 14px; margin: 6px 0 16px; font-size: .84em; color: var(--_muted); }
.day::before, .day::after { content: ""; flex: 1; height: 1px; background: var(--_line); }
.text .typed { white-space: pre-wrap; }
.sources { list-style: none; display: flex; flex-wrap: wrap; gap: 0 8px; margin: 8px 0 0; padding: 0; }
.sources li { max-width: 100%; min-width: 0; }
.sources a { display: flex; align-items: center; min-height: 44px; color: inherit; text-decoration: none; border-radius: 10px; }
.pill { display: flex; align-items: center; gap: 8px; max-width: 100%; min-height: 32px; padding: 0 12px 0 10px; border-radius: 9px; border: 1px solid var(--_line); background: var(--_raised); font-size: .87em; }
.pill b { color: var(--_accent); font-variant-numeric: tabular-nums; }
.pill bdi { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; min-width: 0; }
.sources a:hover .pill { border-color: var(--_accent); }
.note { margin: 6px 0 0; font-size: .88em; color: var(--_muted); }
.tools { display: flex; margin: 0 -12px -10px; }
.tools .tool .icon { width: 17px; height: 17px; }
.tools .tool[aria-pressed=true] { color: var(--_accent); }
.tools .tool[aria-pressed=true] .icon { fill: color-mix(in oklab, var(--_accent) 22%, transparent); }
.user .foot { position: relative; }
.user .tools { position: absolute; inset-inline-end: 8px; inset-block-start: -4px; margin: 0; z-index: 1; }
.delivery { display: flex; flex-wrap: wrap; align-items: center; gap: 2px 6px; min-height: 24px; font-size: .88em; color: var(--_muted); }
.user .delivery { justify-content: flex-end; padding-inline-end: 4px; }
.failed .delivery > span { color: var(--_error); font-weight: 600; }
.why { display: flex; flex-wrap: wrap; gap: 6px; align-items: center; margin-top: 12px; max-width: 30rem; }
.why input { flex: 1 1 12em; min-height: 44px; padding: 8px 12px; border: 1px solid var(--_edge); border-radius: 10px; background: var(--_paper); font-size: max(16px, .95em); }
.working { display: flex; align-items: center; gap: 12px; min-height: 30px; color: var(--_muted); font-size: .93em; }
.tail:not(:empty) { margin-bottom: 14px; }
.live .text > p:last-child::after, .live .text > :is(.h1, .h2, .h3, .h4):last-child::after, .live .text > :is(ul, ol):last-child > li:last-child::after {
  content: ""; display: inline-block; width: 4px; height: 1em; margin-inline-start: 5px; border-radius: 2px; background: var(--_accent); rotate: 32deg; vertical-align: -.12em;
}
@media (hover: hover) {
  .tools { visibility: hidden; }
  .message:is(:hover, :focus-within) .tools, .assistant:last-child .tools, .tools:has([aria-pressed=true]) { visibility: visible; }
}
@media (hover: none) { .user .tools { display: none; } }
@media (prefers-reduced-motion: no-preference) {
  .live .text :is(p, .h1, .h2, .h3, .h4, li):last-child::after { animation: blink 1.1s infinite ease-in-out; }
}
@keyframes blink { 50% { opacity: .25; } }
@media (forced-colors: active) {
  .user .text, .pill { border: 1px solid CanvasText; }
}
`;
