/** The icons that only the desk has: strokes on a grid of 24, like those of the chat. */
import { svg, html, type TemplateResult } from "lit";

const PATHS = {
  queue: "M8.5 6.5h11M8.5 12h11M8.5 17.5h11M4.5 6.5h.01M4.5 12h.01M4.5 17.5h.01",
  mine: "M12 11.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7M5 19.5c.6-3.4 3.3-5.4 7-5.4s6.400 2 7 5.400",
  open: "M4.500 6.500a2 2 0 0 1 2-2h11a2 2 0 0 1 2 2v7.500a2 2 0 0 1-2 2H11l-4.500 3.500V16a2 2 0 0 1-2-2z",
  bot: "M12 4v3.500M6.500 7.500h11a2 2 0 0 1 2 2v7a2 2 0 0 1-2 2h-11a2 2 0 0 1-2-2v-7a2 2 0 0 1 2-2M9 12v1.500M15 12v1.500",
  ended: "M5 12.500l4.500 4.500L19 7.500",
  analytics: "M5 19.500V11M12 19.500v-15M19 19.500v-6",
  search: "M11 17a6 6 0 1 0 0-12 6 6 0 0 0 0 12M15.500 15.500 20 20",
  settings:
    "M5 7.500h8.500M18 7.500h1M5 16.500h1M10.500 16.500H19M15.750 9.750a2.250 2.250 0 1 0 0-4.500 2.250 2.250 0 0 0 0 4.500M8.250 18.750a2.250 2.250 0 1 0 0-4.500 2.250 2.250 0 0 0 0 4.500",
  keyboard:
    "M5.500 7h13a2 2 0 0 1 2 2v6a2 2 0 0 1-2 2h-13a2 2 0 0 1-2-2V9a2 2 0 0 1 2-2M7 10.500h.01M10.500 10.500h.01M14 10.500h.01M17 10.500h.01M9 14h6",
  details:
    "M5.500 5h13a1.500 1.500 0 0 1 1.500 1.500v11a1.500 1.500 0 0 1-1.500 1.500h-13A1.500 1.500 0 0 1 4 17.500v-11A1.500 1.500 0 0 1 5.500 5M14.500 5v14",
  note: "M6 4.500h9l4 4V18a1.500 1.500 0 0 1-1.500 1.500h-11.500A1.500 1.500 0 0 1 4.500 18V6A1.500 1.500 0 0 1 6 4.500M8.500 11.500h7M8.500 15h4.500",
} as const;

export type DeskIcon = keyof typeof PATHS;

/** It says nothing to assistive technology; what is around it has the name. */
export const deskIcon = (name: DeskIcon): TemplateResult =>
  html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">${svg`<path d=${PATHS[name]} />`}</svg>`;
