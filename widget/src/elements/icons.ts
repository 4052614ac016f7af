/** The icons: strokes on a grid of 24, drawn as SVG nodes, so that no font and no image is loaded. */
import { svg, html, type TemplateResult } from "lit/html.js";

const PATHS = {
  send: "M12 19.5V5M5.5 11.2 12 4.7l6.5 6.5",
  stop: "M7 7h10v10H7z",
  close: "M6 6l12 12M18 6 6 18",
  more: "M5.5 12h.01M12 12h.01M18.5 12h.01",
  page: "M13.5 4.5h6v6M19.5 4.5 12 12M10 5.5H7A2.5 2.5 0 0 0 4.5 8v9A2.5 2.5 0 0 0 7 19.5h9a2.5 2.5 0 0 0 2.5-2.5v-3",
  back: "M19 12H5M11.5 5.5 5 12l6.5 6.5",
  new: "M12 5v14M5 12h14",
  link: "M10 14a4 4 0 0 0 6 .4l3-3a4 4 0 0 0-5.7-5.7l-1 1M14 10a4 4 0 0 0-6-.4l-3 3a4 4 0 0 0 5.7 5.7l1-1",
  download: "M12 4.5V15M7 10.5l5 5 5-5M5 19.5h14",
  delete: "M5 7h14M10 7V4.8h4V7M7 7l.8 12.2h8.4L17 7M10.4 10.5v5.5M13.6 10.5v5.5",
  end: "M12 4v8M7 6.7a7.5 7.5 0 1 0 10 0",
  copy: "M9 9h10.5v10.5H9zM15 9V4.5H4.5V15H9",
  check: "M5 12.5l4.5 4.5L19 7.5",
  up: "M7.5 10.5 11 3.8c1.6 0 2.6 1 2.3 2.7l-.6 3.2h5c1.3 0 2.2 1.1 1.9 2.4l-1.3 5.7c-.2 1-1 1.7-2.1 1.7H7.5zM7.5 10.5H4v9h3.5",
  down: "M7.5 13.5 11 20.2c1.6 0 2.6-1 2.3-2.7l-.6-3.2h5c1.3 0 2.2-1.1 1.9-2.4l-1.3-5.7c-.2-1-1-1.7-2.1-1.7H7.5zM7.5 13.5H4v-9h3.5",
  retry: "M19.5 5v5h-5M19 10a7.5 7.5 0 1 0 .3 4.5",
  latest: "M12 5v14M5.5 12.5 12 19l6.5-6.5",
} as const;
export type Icon = keyof typeof PATHS;

/** An icon in a Lit template. It says nothing to assistive technology; the button around it has the name. */
export function icon(name: Icon): TemplateResult {
  return html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">${svg`<path d=${PATHS[name]} />`}</svg>`;
}

const SVG = "http://www.w3.org/2000/svg";

/** The same icon as a node. */
export function iconNode(name: Icon): SVGElement {
  const element = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  element.append(path);
  for (const [key, value] of Object.entries({ class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true", focusable: "false" })) {
    element.setAttribute(key, value);
  }
  return element;
}

/** The mark: a baton at the moment it changes hands. */
export const mark = html`<svg class="mark" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
  <path class="giver" d="M4.5 18.5 10 9" /><path class="taker" d="M14 15 19.5 5.5" /><path class="baton" d="M9.2 16.3 14.8 7.7" />
</svg>`;
