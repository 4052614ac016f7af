/** Turns options into a style sheet of custom properties, and says whether the surroundings are light or dark. */
import { sheet } from "./stylesheet";
import { DEFAULT_COLOR, hex, luminance, palette, parseHex, type Rgb } from "./palette";
import type { Options } from "../types";

/** `rgb()`/`rgba()` as browsers compute it; null when transparent or in another notation. */
function computed(text: string): Rgb | null {
  const parts = /^rgba?\(([^)]+)\)$/
    .exec(text)?.[1]
    ?.split(/[\s,/]+/)
    .map(Number);
  if (!parts || parts.length < 3 || (parts.length > 3 && parts[3]! < 0.5)) return null;
  return [parts[0]! / 255, parts[1]! / 255, parts[2]! / 255];
}

/** Any CSS colour as `#rrggbb`: the browser itself reads names, hsl() and the like. */
export function asHex(color: string | undefined, probe?: HTMLElement): string {
  if (!color) return DEFAULT_COLOR;
  if (parseHex(color)) return hex(parseHex(color)!);
  if (!probe || !globalThis.CSS?.supports?.("color", color)) return DEFAULT_COLOR;
  const before = probe.style.getPropertyValue("color");
  const priority = probe.style.getPropertyPriority("color");
  probe.style.setProperty("color", color, "important");
  const rgb = computed(getComputedStyle(probe).color);
  probe.style.setProperty("color", before, priority);
  return rgb ? hex(rgb) : DEFAULT_COLOR;
}

/**
 * Light or dark: what `theme` says, else what the page shows (its `color-scheme`, else an opaque background),
 * else what the visitor's system prefers.
 */
export function isDark(theme: Options["theme"], page: Document = document): boolean {
  if (theme === "light" || theme === "dark") return theme === "dark";
  const root = getComputedStyle(page.documentElement);
  const scheme = root.colorScheme ?? "";
  const declared = { dark: scheme.includes("dark"), light: scheme.includes("light") };
  if (declared.dark !== declared.light) return declared.dark;
  if (!declared.dark) {
    const body = page.body ? computed(getComputedStyle(page.body).backgroundColor) : null;
    const ground = body ?? computed(root.backgroundColor);
    if (ground) return luminance(ground) < 0.2;
  }
  return matchMedia("(prefers-color-scheme: dark)").matches;
}

/** Calls back when the answer of `isDark` may have changed; returns how to stop that. */
export function watchTheme(changed: () => void): () => void {
  const media = matchMedia("(prefers-color-scheme: dark)");
  media.addEventListener("change", changed);
  const seen = new MutationObserver(changed);
  const attributes = {
    attributes: true,
    attributeFilter: ["class", "style", "data-theme", "data-mode"],
  };
  seen.observe(document.documentElement, attributes);
  if (document.body) seen.observe(document.body, attributes);
  return () => {
    media.removeEventListener("change", changed);
    seen.disconnect();
  };
}

/** The names of the custom properties up to 0.1.0, still read for one release. */
const OLD_NAMES: Record<string, string> = {
  surface: "paper",
  "surface-raised": "raised",
  "surface-sunken": "sunken",
  "user-bubble": "own",
  text: "ink",
  "text-muted": "muted",
  divider: "line",
  border: "edge",
  primary: "fill",
  "on-primary": "on-fill",
};

/** The style sheet for a colour and a mode. A `--baton-color-*` property that the page sets takes precedence over the derived colour. */
export function themeSheet(color: string, dark: boolean): CSSStyleSheet {
  const lines = Object.entries(palette(color, dark)).map(
    ([name, value]) =>
      `--_${name}:var(--baton-color-${name},var(--baton-${OLD_NAMES[name] ?? name},${value}));`,
  );
  return sheet(`:host{color-scheme:${dark ? "dark" : "light"};${lines.join("")}}`);
}
