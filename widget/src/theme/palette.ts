/** One colour becomes an accessible palette, light and dark: pure arithmetic in OKLCH (Björn Ottosson's OKLab). */

export type Rgb = readonly [number, number, number];
/** Custom properties by name, values as `#rrggbb`. */
export type Palette = Record<string, string>;

export const DEFAULT_COLOR = "#0b6e5f";

const toLinear = (v: number): number => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
const toGamma = (v: number): number =>
  v <= 0.0031308 ? v * 12.92 : 1.055 * v ** (1 / 2.4) - 0.055;

/** `#rgb` or `#rrggbb` (with or without alpha, which is dropped) as three numbers from 0 to 1; null for anything else. */
export function parseHex(text: string): Rgb | null {
  const digits = /^#([\da-f]{3,8})$/i.exec(text.trim())?.[1];
  if (!digits || digits.length === 5 || digits.length === 7) return null;
  const step = digits.length < 5 ? 1 : 2;
  const at = (i: number): number =>
    parseInt(digits.slice(i * step, i * step + step).repeat(3 - step), 16) / 255;
  return [at(0), at(1), at(2)];
}

export function hex(rgb: Rgb): string {
  return (
    "#" +
    rgb
      .map((v) =>
        Math.round(Math.min(1, Math.max(0, v)) * 255)
          .toString(16)
          .padStart(2, "0"),
      )
      .join("")
  );
}

/** Relative luminance as WCAG 2 defines it. */
export function luminance([r, g, b]: Rgb): number {
  return 0.2126 * toLinear(r) + 0.7152 * toLinear(g) + 0.0722 * toLinear(b);
}

/** The contrast ratio of two colours, 1 to 21. */
export function contrast(one: Rgb, other: Rgb): number {
  const [high, low] = [luminance(one), luminance(other)].sort((a, b) => b - a) as [number, number];
  return (high + 0.05) / (low + 0.05);
}

function toOklch([r, g, b]: Rgb): [number, number, number] {
  const [x, y, z] = [toLinear(r), toLinear(g), toLinear(b)];
  const l = Math.cbrt(0.4122214708 * x + 0.5363325363 * y + 0.0514459929 * z);
  const m = Math.cbrt(0.2119034982 * x + 0.6806995451 * y + 0.1073969566 * z);
  const s = Math.cbrt(0.0883024619 * x + 0.2817188376 * y + 0.6299787005 * z);
  const A = 1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s;
  const B = 0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s;
  return [
    0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    Math.hypot(A, B),
    Math.atan2(B, A),
  ];
}

function fromOklch(L: number, C: number, h: number): Rgb {
  const [A, B] = [C * Math.cos(h), C * Math.sin(h)];
  const l = (L + 0.3963377774 * A + 0.2158037573 * B) ** 3;
  const m = (L - 0.1055613458 * A - 0.0638541728 * B) ** 3;
  const s = (L - 0.0894841775 * A - 1.291485548 * B) ** 3;
  return [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ];
}

/** The colour at this lightness, with as much of the chroma as sRGB can show. */
function shade(L: number, C: number, h: number): Rgb {
  for (let c = C; c > 0.001; c *= 0.92) {
    const linear = fromOklch(L, c, h);
    if (linear.every((v) => v > -0.0005 && v < 1.0005))
      return linear.map((v) => toGamma(Math.max(0, v))) as unknown as Rgb;
  }
  return fromOklch(L, 0, h).map((v) => toGamma(Math.min(1, Math.max(0, v)))) as unknown as Rgb;
}

/** Rounded to what `#rrggbb` can say, because that is what will be on the screen. */
const shown = (rgb: Rgb): Rgb => parseHex(hex(rgb))!;

/** The lightness nearest to `L` at which the colour has this contrast to `ground`, going lighter or darker. */
function readable(
  L: number,
  C: number,
  h: number,
  ground: Rgb,
  ratio: number,
  lighter: boolean,
): Rgb {
  for (let at = L; at >= 0 && at <= 1; at += lighter ? 0.01 : -0.01) {
    const rgb = shown(shade(at, C, h));
    if (contrast(rgb, ground) >= ratio) return rgb;
  }
  return lighter ? [1, 1, 1] : [0, 0, 0];
}

/** Every colour of the widget from one, given as `#rrggbb`. Text has 4.5 to 1 on its ground, lines that matter 3 to 1. */
export function palette(color: string, dark: boolean): Palette {
  const base = parseHex(color) ?? parseHex(DEFAULT_COLOR)!;
  const [L, C, h] = toOklch(base);
  const tint = Math.min(C, 0.16);
  const surface = shown(dark ? shade(0.2, tint * 0.09, h) : shade(0.992, tint * 0.02, h));
  const surfaceRaised = shown(dark ? shade(0.245, tint * 0.11, h) : [1, 1, 1]);
  const surfaceSunken = shown(dark ? shade(0.165, tint * 0.08, h) : shade(0.962, tint * 0.06, h));
  const userBubble = shown(dark ? shade(0.34, tint * 0.38, h) : shade(0.93, tint * 0.26, h));
  const tone = (l: number, c: number, on: Rgb, ratio: number): Rgb =>
    readable(l, tint * c, h, on, ratio, dark);
  // The primary keeps the given colour wherever white or ink can be read on it and it stands out from the surface.
  const primary = contrast(base, surface) >= 3 ? base : readable(L, C, h, surface, 3, dark);
  const nearBlack: Rgb = shown(shade(0.19, tint * 0.1, h));
  const onPrimary =
    contrast([1, 1, 1], primary) >= 4.5 ||
    contrast([1, 1, 1], primary) >= contrast(nearBlack, primary)
      ? ([1, 1, 1] as Rgb)
      : nearBlack;
  const primaryReadable =
    contrast(onPrimary, primary) >= 4.5
      ? primary
      : readable(toOklch(primary)[0], C, h, onPrimary, 4.5, onPrimary === nearBlack);
  const worst = dark ? userBubble : surfaceSunken; // of the grounds that text stands on, the one nearest to the text
  const warn = (hue: number): Rgb => readable(dark ? 0.78 : 0.5, 0.13, hue, worst, 4.5, dark);
  const table: Record<string, Rgb> = {
    surface,
    "surface-raised": surfaceRaised,
    "surface-sunken": surfaceSunken,
    "user-bubble": userBubble,
    text: tone(dark ? 0.93 : 0.25, 0.14, worst, 7),
    "text-muted": tone(dark ? 0.72 : 0.52, 0.16, worst, 4.6),
    divider: shown(dark ? shade(0.32, tint * 0.12, h) : shade(0.905, tint * 0.08, h)),
    border: tone(dark ? 0.5 : 0.68, 0.14, surfaceRaised, 3.1),
    primary: primaryReadable,
    "on-primary": onPrimary,
    accent: readable(
      dark ? Math.max(L, 0.72) : Math.min(L, 0.55),
      Math.min(C, 0.17),
      h,
      worst,
      4.6,
      dark,
    ),
    warning: warn(1.1),
    error: warn(0.45),
  };
  return Object.fromEntries(Object.entries(table).map(([name, rgb]) => [name, hex(rgb)]));
}
