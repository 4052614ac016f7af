/** Styles of the panel and of what it adds to the launcher. */

import { css, sheet } from "../theme/stylesheet";

const styles = css`
.panel {
  all: initial; box-sizing: border-box; position: fixed; margin: 0; padding: 0; border: 1px solid var(--_divider);
  inset: auto; bottom: calc(var(--_y, var(--baton-y, 20px)) + 72px); right: var(--_x, var(--baton-x, 20px));
  width: min(var(--baton-width, 408px), calc(100vw - 2 * var(--_x, var(--baton-x, 20px))));
  height: min(var(--baton-height, 680px), calc(100dvh - var(--_y, var(--baton-y, 20px)) - 96px));
  border-radius: var(--baton-radius, 20px); overflow: clip; background: var(--_surface); color: var(--_text);
  box-shadow: 0 1px 2px rgb(0 0 0 / .06), 0 8px 20px rgb(0 0 0 / .08), 0 28px 64px -12px rgb(0 0 0 / .26);
  transform-origin: bottom right; display: block; outline: 0;
}
.panel.left { right: auto; left: var(--_x, var(--baton-x, 20px)); transform-origin: bottom left; }
.panel[hidden] { display: none; }
.panel.full {
  inset: var(--_top, 0) 0 auto 0; width: 100%; height: var(--_h, 100dvh); border: 0; border-radius: 0;
  padding: env(safe-area-inset-top) env(safe-area-inset-right) 0 env(safe-area-inset-left);
}
.panel > baton-chat { width: 100%; height: 100%; }
[part~=launcher] { background: var(--_primary); color: var(--_on-primary); touch-action: manipulation; }
[part~=launcher].open::before { opacity: 0; }
[part~=launcher]:focus-visible { outline: 3px solid var(--_primary); outline-offset: 3px; }
[part~=launcher].open::after {
  content: ""; position: absolute; width: 14px; height: 14px; border: solid currentColor; border-width: 0 2.4px 2.4px 0;
  rotate: 45deg; translate: 0 -4px; box-sizing: border-box;
}
.badge {
  position: absolute; top: -4px; inset-inline-end: -4px; min-width: 22px; height: 22px; padding: 0 6px; box-sizing: border-box;
  border-radius: 11px; border: 2px solid var(--_surface); background: var(--_error); color: var(--_surface);
  font: 700 12px/18px ui-sans-serif, system-ui, sans-serif; text-align: center;
}
[part~=launcher].covered { display: none; }
@media (prefers-reduced-motion: no-preference) {
  .panel:not([hidden]) { animation: rise .26s cubic-bezier(.2, .9, .25, 1); }
  .panel.full:not([hidden]) { animation-name: slide; }
  [part~=launcher]::before { transition: opacity .15s; }
  [part~=launcher]:hover { filter: brightness(1.06); }
}
@keyframes rise { from { opacity: 0; transform: translateY(14px) scale(.97); } }
@keyframes slide { from { opacity: 0; transform: translateY(24px); } }
@media (forced-colors: active) {
  .panel, [part~=launcher] { border: 1px solid CanvasText; }
  [part~=launcher] { forced-color-adjust: auto; }
}
`;

/** One sheet for all panels of a page. */
export const panelSheet = (): CSSStyleSheet => sheet(styles);
