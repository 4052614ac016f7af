/** The icons: strokes on a grid of 24, drawn as SVG nodes, so that no font and no image is loaded. */
import { svg, html, type TemplateResult } from "lit/html.js";

const PATHS = {
  send: "M12 19.5V5M5.5 11.2 12 4.7l6.5 6.5",
  stop: "M7 7h10v10H7z",
  close: "M6 6l12 12M18 6 6 18",
  more: "M6 12h.01M12 12h.01M18 12h.01",
  page: "M13.5 4.5h6v6M19.5 4.5 12 12M10 5.5H7A2.5 2.5 0 0 0 4.5 8v9A2.5 2.5 0 0 0 7 19.5h9a2.5 2.5 0 0 0 2.5-2.5v-3",
  back: __WIDGET__ ? "" : "M19 12H5M11.5 5.5 5 12l6.5 6.5",
  person:
    "M12 12a3.8 3.8 0 1 0 0-7.6 3.8 3.8 0 0 0 0 7.6M4.8 19.6c.9-3 3.7-4.6 7.2-4.6s6.3 1.6 7.2 4.6",
  new: "M12 5v14M5 12h14",
  link: "M10 14a4 4 0 0 0 6 .4l3-3a4 4 0 0 0-5.7-5.7l-1 1M14 10a4 4 0 0 0-6-.4l-3 3a4 4 0 0 0 5.7 5.7l1-1",
  phone: "M8.5 3.5h7a2 2 0 0 1 2 2v13a2 2 0 0 1-2 2h-7a2 2 0 0 1-2-2v-13a2 2 0 0 1 2-2M11 17.5h2",
  download: "M12 4.5V15M7 10.5l5 5 5-5M5 19.5h14",
  delete: "M5 7h14M10 7V4.8h4V7M7 7l.8 12.2h8.4L17 7M10.4 10.5v5.5M13.6 10.5v5.5",
  end: "M12 4v8M7 6.7a7.5 7.5 0 1 0 10 0",
  latest: "M12 5v14M5.5 12.5 12 19l6.5-6.5",
} as const;
export type Icon = keyof typeof PATHS;

/** An icon in a Lit template. It says nothing to assistive technology; the button around it has the name. */
export function icon(name: Icon): TemplateResult {
  return html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">${svg`<path d=${PATHS[name]} />`}</svg>`;
}
