import { describe, expect, it } from "vitest";
import { contrast, palette, parseHex, DEFAULT_COLOR, type Rgb } from "./palette";

const COLORS = [
  DEFAULT_COLOR,
  "#000000",
  "#ffffff",
  "#ffff00",
  "#ff0000",
  "#00ff00",
  "#0000ff",
  "#7c3aed",
  "#f5a3c7",
  "#808080",
  "#777777",
  "#123",
  "#ffd400",
];
for (let hue = 0; hue < 12; hue++) {
  const wave = (shift: number): string =>
    Math.round(128 + 127 * Math.cos(((hue + shift) / 12) * 2 * Math.PI))
      .toString(16)
      .padStart(2, "0");
  COLORS.push(`#${wave(0)}${wave(4)}${wave(8)}`);
}
const TEXT: [string, string][] = [
  ["text", "surface"],
  ["text", "surface-raised"],
  ["text", "surface-sunken"],
  ["text", "user-bubble"],
  ["text-muted", "surface"],
  ["text-muted", "surface-raised"],
  ["text-muted", "surface-sunken"],
  ["accent", "surface"],
  ["accent", "surface-raised"],
  ["accent", "surface-sunken"],
  ["on-primary", "primary"],
  ["error", "surface"],
  ["error", "surface-raised"],
  ["surface", "error"],
  ["warning", "surface-sunken"],
];
const LINES: [string, string][] = [
  ["border", "surface-raised"],
  ["border", "surface"],
  ["primary", "surface"],
  ["accent", "surface"],
];

describe("the palette", () => {
  it("keeps text at 4.5 to 1 and lines that matter at 3 to 1, for any colour, light and dark", () => {
    for (const color of COLORS) {
      for (const dark of [false, true]) {
        const table = palette(color, dark);
        const ratio = (one: string, other: string): number =>
          contrast(parseHex(table[one]!) as Rgb, parseHex(table[other]!) as Rgb);
        for (const [one, other] of TEXT)
          expect(
            ratio(one, other),
            `${color} ${dark ? "dark" : "light"}: ${one} on ${other}`,
          ).toBeGreaterThanOrEqual(4.5);
        for (const [one, other] of LINES)
          expect(
            ratio(one, other),
            `${color} ${dark ? "dark" : "light"}: ${one} on ${other}`,
          ).toBeGreaterThanOrEqual(3);
      }
    }
  });

  it("keeps a given colour as it is where it can be read", () => {
    expect(palette("#7c3aed", false)["primary"]).toBe("#7c3aed");
    expect(palette(DEFAULT_COLOR, false)["primary"]).toBe(DEFAULT_COLOR);
  });

  it("takes the default for what is no colour", () => {
    for (const text of ["", "tomato!", "#12", "#12345", "url(x)"])
      expect(palette(text, false)).toEqual(palette(DEFAULT_COLOR, false));
  });
});
