/** Styles of messages: an answer reads like a page, a question stands in a bubble of its own; and of what comes only with messages. */
import { css } from "../theme/stylesheet";

export const messageStyles = css`
.intro.begun { margin: 0 0 20px; padding: 0; }
.intro.begun .greeting { font-size: 1em; font-weight: 400; letter-spacing: 0; line-height: 1.55; color: var(--_text-muted); }
.earlier { text-align: center; margin-bottom: 12px; }
.notice > .not-yours { flex: 0 1 auto; display: flex; align-items: center; margin-block: -6px; color: var(--_text-muted); }
.send-button[type=button] .icon { fill: currentColor; }
[dir=rtl] .header .icon-button:first-child .icon { scale: -1 1; }
.message { position: relative; margin-bottom: 4px; padding-bottom: 12px; content-visibility: auto; contain-intrinsic-size: auto 120px; outline-offset: 6px; border-radius: 4px; }
.message:last-child, .message.live { content-visibility: visible; }
.head { display: flex; align-items: baseline; gap: 8px; margin-bottom: 3px; font-size: .84em; color: var(--_text-muted); }
.who { font-weight: 650; color: var(--_text); }
.assistant .who::before { content: ""; display: inline-block; width: 4px; height: .86em; margin-inline-end: 9px; margin-inline-start: 3px; border-radius: 2px; background: var(--_accent); rotate: 32deg; vertical-align: -.06em; }
time { font-variant-numeric: tabular-nums; }
.user { display: flex; flex-direction: column; align-items: flex-end; }
.user .head { margin: 0 4px 4px; }
.user .who { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.user .text { max-width: min(88%, 34rem); padding: 9px 15px; border-radius: 18px; border-end-end-radius: 5px; background: var(--_user-bubble); }
.typed { white-space: pre-wrap; }
.user.pending .text { opacity: .72; }
.user.failed .text { background: none; box-shadow: inset 0 0 0 1px var(--_error); }
.system .text { padding: 8px 14px; border-radius: 11px; background: var(--_surface-sunken); font-size: .92em; color: var(--_text-muted); }
.day { display: flex; align-items: center; gap: 14px; margin: 6px 0 16px; font-size: .84em; color: var(--_text-muted); }
.day::before, .day::after { content: ""; flex: 1; height: 1px; background: var(--_divider); }
.text .typed { white-space: pre-wrap; }
.sources { list-style: none; display: flex; flex-wrap: wrap; gap: 0 8px; margin: 8px 0 0; padding: 0; }
.sources li { max-width: 100%; min-width: 0; }
.sources a { display: flex; align-items: center; min-height: 44px; color: inherit; text-decoration: none; border-radius: 10px; }
.source { display: flex; align-items: center; gap: 8px; max-width: 100%; min-height: 32px; padding: 0 12px 0 10px; border-radius: 9px; border: 1px solid var(--_divider); background: var(--_surface-raised); font-size: .87em; }
.source b { color: var(--_accent); font-variant-numeric: tabular-nums; }
.source bdi { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; min-width: 0; }
.sources a:hover .source { border-color: var(--_accent); }
.note { margin: 6px 0 0; font-size: .88em; color: var(--_text-muted); }
.tools { display: flex; margin: -8px -12px -25px; }
.tools .icon-button .icon { width: 17px; height: 17px; }
.tools .icon-button[aria-pressed=true] { color: var(--_accent); }
.tools .icon-button[aria-pressed=true] .icon { fill: color-mix(in oklab, var(--_accent) 22%, transparent); }
.user .tools { position: absolute; inset-inline-end: 74px; inset-block-start: -11px; margin: 0; }
.delivery { display: flex; flex-wrap: wrap; align-items: center; gap: 2px 6px; min-height: 24px; font-size: .88em; color: var(--_text-muted); }
.delivery > .text-icon-button:first-child { margin-inline-start: -12px; }
.user .delivery { justify-content: flex-end; padding-inline-end: 4px; }
.failed .delivery > span { color: var(--_error); font-weight: 600; }
.feedback-form { display: flex; flex-wrap: wrap; gap: 6px; align-items: center; margin-top: 24px; max-width: 30rem; }
.feedback-form input { flex: 1 1 12em; min-height: 44px; padding: 8px 12px; border: 1px solid var(--_border); border-radius: 10px; background: var(--_surface); font-size: max(16px, .95em); }
.thinking { display: flex; align-items: center; gap: 12px; min-height: 30px; color: var(--_text-muted); font-size: .93em; }
.list-end:not(:empty) { margin-bottom: 14px; }
.live .text > p:last-child::after, .live .text > :is(.h1, .h2, .h3, .h4):last-child::after, .live .text > :is(ul, ol):last-child > li:last-child::after {
  content: ""; display: inline-block; width: 4px; height: 1em; margin-inline: 5px -9px; border-radius: 2px; background: var(--_accent); rotate: 32deg; vertical-align: -.12em;
}
.latest { position: absolute; z-index: 2; bottom: calc(100% + 8px); inset-inline: 0; margin-inline: auto; width: fit-content; min-width: 44px; height: 44px; padding: 0 12px; display: flex; gap: 8px; align-items: center; justify-content: center;
  border: 1px solid var(--_divider); border-radius: 22px; background: var(--_surface-raised); color: var(--_text); cursor: pointer; box-shadow: 0 4px 14px rgb(0 0 0 / .14); }
.latest .icon { width: 18px; height: 18px; }
.latest.news { padding-inline: 14px 18px; background: var(--_primary); border-color: transparent; color: var(--_on-primary); font-weight: 600; }
.overlay { position: absolute; inset: 0; z-index: 6; display: grid; place-items: center; padding: 20px; background: rgb(0 0 0 / .42); }
.dialog { width: min(360px, 100%); padding: 22px; border-radius: 18px; background: var(--_surface-raised); border: 1px solid var(--_divider); box-shadow: 0 20px 60px -10px rgb(0 0 0 / .4); }
.dialog h2 { font-size: 1.14em; font-weight: 650; letter-spacing: -.012em; line-height: 1.3; }
.dialog p { margin-top: 6px; color: var(--_text-muted); text-wrap: pretty; }
.dialog input { width: 100%; min-height: 44px; margin-top: 12px; padding: 8px 12px; border: 1px solid var(--_border); border-radius: 10px; background: var(--_surface); font-size: max(16px, .95em); }
.qr-place { display: grid; width: min(240px, 100%); aspect-ratio: 1; margin: 16px auto 0; border-radius: 12px; overflow: clip; background: #fff; forced-color-adjust: none; }
.dialog .qr-place + p { margin-top: 14px; text-align: center; }
.choices { display: flex; flex-wrap: wrap; justify-content: flex-end; gap: 8px; margin-top: 18px; }
.plain, .strong { min-height: 44px; padding: 0 18px; border-radius: 12px; border: 1px solid var(--_border); background: none; font-weight: 600; cursor: pointer; }
.plain:hover { background: var(--_surface-sunken); }
.strong { border-color: transparent; background: var(--_primary); color: var(--_on-primary); }
.strong.danger { background: var(--_error); color: var(--_surface-raised); }
@media (hover: hover) {
  .tools { visibility: hidden; }
  .message:is(:hover, :focus-within) .tools, .assistant:last-child .tools, .tools:has([aria-pressed=true]) { visibility: visible; }
}
@media (hover: none) { .tools { margin-bottom: -10px; } .user .tools { display: none; } }
@media (prefers-reduced-motion: no-preference) {
  .overlay { animation: fade .16s; }
  .user.pending, .thinking { animation: fade .22s; }
  .user .text { transition: opacity .2s; }
  .live .text :is(p, .h1, .h2, .h3, .h4, li):last-child::after { animation: blink 1.1s infinite ease-in-out; }
}
@keyframes fade { from { opacity: 0; } }
@keyframes blink { 50% { opacity: .25; } }
@media print {
  :host { --_text: #000 !important; --_text-muted: #444 !important; --_accent: #000 !important; --_surface: #fff !important; --_surface-raised: #fff !important; --_surface-sunken: #f4f4f4 !important; --_user-bubble: #eee !important; --_divider: #bbb !important; --_border: #888 !important; }
  :host, .chat, .layout, .body, .main { display: block; height: auto; }
  .log { display: block; overflow: visible; }
  .icon-button, .tools, .earlier, .footer, .menu, .overlay, .aside, .suggestions, .latest, .delivery button, .text-button { display: none !important; }
  .message { content-visibility: visible; break-inside: auto; }
  .head, .bar { break-after: avoid; }
  .code pre { white-space: pre-wrap; overflow: visible; background: none; }
  .code pre code { white-space: inherit; overflow-wrap: anywhere; }
  .table { overflow: visible; background: none; }
  table { width: 100%; }
  .user .text, .code, .table { print-color-adjust: exact; }
}
@media (forced-colors: active) {
  .user .text, .source, .strong, .latest, .dialog { border: 1px solid CanvasText; }
  .assistant .who::before, .live .text ::after { forced-color-adjust: none; background: CanvasText; }
}
`;
