/** Styles of the chat around the messages: header, menu, notices, composer, dialogs, the page's columns. */
import { css } from "../theme/stylesheet";

export const chatStyles = css`
:host {
  all: initial; display: block; box-sizing: border-box; height: 100%; container: chat / inline-size; color: var(--_text); background: var(--_surface);
  --_font: var(--baton-font, ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Noto Sans Arabic", sans-serif);
  --_mono: var(--baton-font-mono, ui-monospace, "SF Mono", "Cascadia Mono", "Roboto Mono", Menlo, Consolas, monospace);
  --_size: var(--baton-font-size, 15px); --_radius: var(--baton-radius-card, var(--baton-corner, 14px)); --_gutter: 18px;
}
:host([hidden]) { display: none; }
*, *::before, *::after { box-sizing: border-box; }
.chat { position: relative; height: 100%; font: 400 var(--_size)/1.55 var(--_font); text-align: start; overflow-wrap: anywhere; -webkit-text-size-adjust: 100%; -webkit-user-select: text; user-select: text; }
.layout { height: 100%; display: flex; flex-direction: column; }
.visually-hidden { position: absolute; width: 1px; height: 1px; margin: -1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
[hidden] { display: none !important; }
button, textarea, input { font: inherit; color: inherit; letter-spacing: inherit; margin: 0; }
button { touch-action: manipulation; -webkit-tap-highlight-color: transparent; }
:focus-visible { outline: 2px solid var(--_accent); outline-offset: 2px; }
.icon { width: 20px; height: 20px; flex: none; fill: none; stroke: currentColor; stroke-width: 1.75; stroke-linecap: round; stroke-linejoin: round; }
.header { display: flex; align-items: center; gap: 2px; min-height: 60px; padding: 8px 8px 8px var(--_gutter); border-bottom: 1px solid var(--_divider); flex: none; }
[dir=rtl] .header { padding: 8px var(--_gutter) 8px 8px; }
.mark { width: 5px; height: 22px; margin-inline: 8px 16px; border-radius: 3px; background: var(--_accent); rotate: 32deg; }
.logo { display: grid; place-items: center; min-width: 30px; height: 30px; margin-inline-end: 10px; border-radius: 9px; background: var(--_primary); color: var(--_on-primary); text-transform: uppercase; }
.logo:has(img) { background: none; font-size: 0; }
.logo img { height: 30px; max-width: 108px; object-fit: contain; }
h1, h2, p, ul, ol { margin: 0; padding: 0; }
.header h1, .header h2 { flex: 1; min-width: 0; font-size: 1.07em; font-weight: 650; letter-spacing: -.012em; line-height: 1.3; white-space: nowrap; }
.header bdi { display: block; width: fit-content; max-width: 100%; overflow: hidden; text-overflow: ellipsis; }
.icon-button { display: inline-grid; place-items: center; width: 44px; height: 44px; padding: 0; border: 0; border-radius: 12px; background: none; color: var(--_text-muted); cursor: pointer; }
#more .icon { stroke-width: 3; }
.icon-button:hover, .icon-button[aria-expanded=true] { background: var(--_surface-sunken); color: var(--_text); }
.actions { display: contents; }
.backdrop { position: fixed; inset: 0; z-index: 3; }
.menu { position: absolute; z-index: 4; top: 54px; inset-inline-end: 10px; min-width: 240px; max-width: calc(100% - 20px); padding: 6px; list-style: none;
  background: var(--_surface-raised); border: 1px solid var(--_divider); border-radius: var(--_radius); box-shadow: 0 10px 32px -6px rgb(0 0 0 / .22), 0 2px 6px rgb(0 0 0 / .07); }
.menu button { display: flex; align-items: center; gap: 12px; width: 100%; min-height: 44px; padding: 6px 12px; border: 0; border-radius: 9px; background: none; cursor: pointer; text-align: start; }
.menu button:hover:not(:disabled) { background: var(--_surface-sunken); }
.menu .icon { color: var(--_text-muted); }
.menu li:nth-last-child(2) { border-top: 1px solid var(--_divider); margin-top: 5px; padding-top: 5px; }
.menu button:disabled { opacity: .45; cursor: default; }
.body { flex: 1; min-height: 0; display: flex; }
.main { flex: 1; min-width: 0; display: flex; flex-direction: column; }
.log { flex: 1; min-height: 0; overflow: auto; overscroll-behavior: contain; padding: 20px var(--_gutter) 10px; scrollbar-width: thin; scrollbar-color: var(--_border) transparent; display: flex; flex-direction: column; }
.log:focus-visible { outline-offset: -3px; border-radius: 6px; }
.messages { flex: none; }
.intro { margin: auto 0 12px; padding-top: 12px; }
.greeting { font-size: 1.62em; line-height: 1.22; font-weight: 680; letter-spacing: -.024em; text-wrap: balance; white-space: pre-line; }
.greeting.long { font-size: 1.2em; line-height: 1.4; font-weight: 600; letter-spacing: -.01em; text-wrap: pretty; }
.more { margin-top: 8px; color: var(--_text-muted); text-wrap: pretty; }
.suggestions { list-style: none; margin-top: 20px; display: grid; gap: 8px; }
.suggestions button { width: 100%; min-height: 48px; padding: 11px 15px; border: 1px solid var(--_divider); border-radius: var(--_radius); background: var(--_surface-raised); text-align: start; line-height: 1.4; cursor: pointer; }
.suggestions button:hover { border-color: var(--_accent); color: var(--_accent); }
.loading { display: flex; align-items: center; gap: 12px; margin: auto; color: var(--_text-muted); }
.typing-indicator { display: inline-flex; gap: 5px; padding-inline-start: 5px; }
.typing-indicator i { width: 4px; height: 15px; border-radius: 2px; background: var(--_accent); rotate: 32deg; opacity: .3; }
.footer { position: relative; flex: none; padding: 4px 12px 12px; padding-bottom: max(12px, env(safe-area-inset-bottom)); }
.notice { --_tone: var(--_border); position: relative; display: flex; align-items: center; flex-wrap: wrap; gap: 2px 12px; margin-bottom: 6px; padding: 9px 14px; padding-inline-start: 30px; border-radius: 13px; font-size: .9em; line-height: 1.42; background: var(--_surface-sunken); color: var(--_text); }
.notice > span:first-child::before { content: ""; position: absolute; inset-block-start: .2em; inset-inline-start: -15px; width: 4px; height: 14px; border-radius: 2px; background: var(--_tone); rotate: 32deg; }
.notice > span { position: relative; flex: 1 1 13em; }
.notice.warning { --_tone: var(--_warning); }
.notice.error { --_tone: var(--_error); }
.notice.toast { --_tone: var(--_accent); }
.notice .text-icon-button { margin-block: -6px; margin-inline-end: -8px; }
.text-icon-button { display: inline-flex; align-items: center; gap: 7px; min-height: 44px; padding: 0 12px; border: 0; border-radius: 10px; background: none; color: var(--_accent); font-weight: 600; font-size: .95em; cursor: pointer; text-decoration: none; }
.text-icon-button:hover { background: color-mix(in oklab, var(--_accent) 12%, transparent); }
.text-icon-button .icon { width: 17px; height: 17px; }
.composer { display: flex; flex-wrap: wrap; align-items: flex-end; padding: 4px; border: 1px solid var(--_border); border-radius: 26px; background: var(--_surface-raised); }
.composer:focus-within { border-color: var(--_accent); box-shadow: 0 0 0 1px var(--_accent); }
.composer textarea { flex: 1; min-width: 0; min-height: 44px; max-height: min(168px, 30dvh); padding: 10px 6px 10px 14px; border: 0; outline: 0; resize: none; background: none; font-size: max(16px, 1em); line-height: 24px; field-sizing: content; overflow: auto; scrollbar-width: thin; }
[dir=rtl] .composer textarea { padding: 10px 14px 10px 6px; }
textarea::placeholder, input::placeholder { color: var(--_text-muted); opacity: 1; }
.send-button { display: grid; place-items: center; width: 44px; height: 44px; padding: 0; border: 0; border-radius: 50%; background: var(--_primary); color: var(--_on-primary); cursor: pointer; flex: none; }
.send-button:disabled { background: var(--_surface-sunken); color: var(--_text-muted); cursor: default; }
.send-button:hover:not(:disabled) { filter: brightness(1.08); }
@container chat (min-width: 700px) {
  .log, .footer { padding-inline: max(24px, calc((100% - 46rem) / 2)); }
  .footer { padding-bottom: 22px; }
  .intro { margin-block: auto; }
  .greeting { font-size: 2.3em; }
  .greeting.long { font-size: 1.5em; }
  .suggestions { grid-template-columns: 1fr 1fr; }
}
@container chat (max-width: 340px) { .mark, .logo { display: none; } }
@media (prefers-reduced-motion: no-preference) {
  .typing-indicator i { animation: pass 1.2s infinite ease-in-out; }
  .typing-indicator i:nth-child(2) { animation-delay: .16s; }
  .typing-indicator i:nth-child(3) { animation-delay: .32s; }
  .menu, .dialog { animation: appear .16s ease-out; }
  button { transition: background-color .12s, color .12s, border-color .12s; }
}
@keyframes pass { 0%, 60%, 100% { opacity: .28; } 25% { opacity: 1; } }
@keyframes appear { from { opacity: 0; transform: translateY(-4px); } }
@media (forced-colors: active) {
  .send-button, .suggestions button, .menu, .notice { border: 1px solid ButtonBorder; }
  .send-button:disabled { color: GrayText; }
  .composer:focus-within { outline: 2px solid Highlight; }
  .mark, .notice > span:first-child::before, .typing-indicator i { forced-color-adjust: none; background: CanvasText; }
}
`;
