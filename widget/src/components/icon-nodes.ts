/** The icons on messages, as nodes: strokes on a grid of 24, like those of icons.ts. */

const PATHS = {
  copy: "M9 9h10.5v10.5H9zM15 9V4.5H4.5V15H9",
  check: "M5 12.5l4.5 4.5L19 7.5",
  up: "M7.5 10.5 11 3.8c1.6 0 2.6 1 2.3 2.7l-.6 3.2h5c1.3 0 2.2 1.1 1.9 2.4l-1.3 5.7c-.2 1-1 1.7-2.1 1.7H7.5zM7.5 10.5H4v9h3.5",
  down: "M7.5 13.5 11 20.2c1.6 0 2.6-1 2.3-2.7l-.6-3.2h5c1.3 0 2.2-1.1 1.9-2.4l-1.3-5.7c-.2-1-1-1.7-2.1-1.7H7.5zM7.5 13.5H4v-9h3.5",
  person:
    "M12 12a3.8 3.8 0 1 0 0-7.6 3.8 3.8 0 0 0 0 7.6M4.8 19.6c.9-3 3.7-4.6 7.2-4.6s6.3 1.6 7.2 4.6",
  retry: "M19.5 5v5h-5M19 10a7.5 7.5 0 1 0 .3 4.5",
} as const;
export type Sign = keyof typeof PATHS;

const SVG = "http://www.w3.org/2000/svg";

/** It says nothing to assistive technology; the button around it has the name. */
export function iconNode(name: Sign): SVGElement {
  const element = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  element.append(path);
  for (const [key, value] of Object.entries({
    class: "icon",
    viewBox: "0 0 24 24",
    "aria-hidden": "true",
    focusable: "false",
  })) {
    element.setAttribute(key, value);
  }
  return element;
}
