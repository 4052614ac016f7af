/** An answer four times as long takes about four times the work, whatever stands in it. */
import { describe, expect, it } from "vitest";
import { lex } from "./lexer";

const filled = (part: string, length: number): string =>
  part.repeat(Math.ceil(length / part.length)).slice(0, length);
const SHAPES: Record<string, (length: number) => string> = {
  "closing brackets after an address": (n) => `http://a${")".repeat(n)}`,
  "spaces in a link's target": (n) => `[a](${" ".repeat(n)}`,
  "spaces in a link's target that ends": (n) => `[a](${" ".repeat(n)}b)`,
  "letters after a pair of backticks": (n) => "``" + "a".repeat(n),
  "runs of backticks of many lengths": (n) =>
    filled(Array.from({ length: 300 }, (_, i) => "`".repeat(i + 1)).join(" "), n),
  "opening brackets": (n) => "[".repeat(n),
  "escaped brackets": (n) => filled("[\\", n),
  "links without an end": (n) => filled("[a](b", n),
  "stars that open": (n) => filled("*a **b ", n),
  "stars within words": (n) => filled("a*", n),
  "stars beside CJK text": (n) => filled("は**「", n),
  tildes: (n) => filled("~~a ", n),
  underscores: (n) => filled("_a", n),
  "mail addresses": (n) => filled("a@b.c ", n),
  "letters that may be a mail address": (n) => filled("a_b.", n),
  spaces: (n) => `a${" ".repeat(n)}b`,
  "blank lines": (n) => `a${"\n".repeat(n)}b`,
  "lines in an item": (n) => `- a\n${filled("b\n", n)}`,
  "indented lines in an item": (n) => `- a\n${filled("  b\n", n)}`,
  "lists in quotes with lazy lines": (n) => filled("> - a\nb\n", n),
  "quotes in quotes": (n) => ">".repeat(n),
  "lists in lists": (n) => filled("- ", n),
  "task boxes": (n) => filled("- [ ] a\n", n),
  "definitions with an open title": (n) => filled('[a]: b "\n', n),
  "reference links": (n) => `[a]: b\n\n${filled("[x][a] ", n)}`,
  markup: (n) => filled("<a b='", n),
  "rows of a wide table": (n) =>
    `${filled("|a", n / 3)}\n${filled("|-", n / 3)}\n${filled("x\n", n / 3)}`,
  "ordinary prose": (n) =>
    filled("Some **bold** words, `code` and a [link](https://a.example/). ", n),
};

function work(text: string): number {
  const before = process.cpuUsage();
  lex(text);
  const { user, system } = process.cpuUsage(before);
  return user + system;
}

/** The smallest of some measurements: what else the machine does can only add. */
const least = (text: string, times: number): number =>
  Math.min(...Array.from({ length: times }, () => work(text)));

describe("the lexer's work grows with an answer's length", () => {
  it.each(Object.entries(SHAPES))("%s", (_, shape) => {
    const ratios: number[] = [];
    // Quadratic work would grow sixteen times. A ratio is taken again when the machine was busy meanwhile.
    do ratios.push(least(shape(64_000), 2) / Math.max(least(shape(16_000), 3), 1000));
    while (ratios.at(-1)! > 8 && ratios.length < 5);
    expect(Math.min(...ratios)).toBeLessThan(8);
  });

  it("a table that short rows would blow up is text", () => {
    const cells = (text: string): number =>
      lex(text).reduce(
        (sum, token) =>
          sum + (token.type === "table" ? token["rows"].length * token["header"].length : 0),
        0,
      );
    expect(cells(SHAPES["rows of a wide table"]!(64_000))).toBe(0);
    expect(cells(`${"|a".repeat(60)}|\n${"|-".repeat(60)}|\n${"x\n".repeat(10_000)}`)).toBe(0);
    expect(cells(`|a|b|\n|-|-|\n${"|x|y|\n".repeat(500)}`)).toBe(1000);
  });

  it("does not nest deeper than it shows", () => {
    interface Nested {
      tokens?: Nested[];
      items?: Nested[];
    }
    const depth = (token: Nested): number =>
      1 + Math.max(0, ...[...(token.tokens ?? []), ...(token.items ?? [])].map(depth));
    for (const text of [
      ">".repeat(20_000),
      "- ".repeat(10_000),
      filled("*a _b ", 20_000) + filled("c_ d*", 20_000),
    ])
      expect(depth({ tokens: [...lex(text)] as Nested[] })).toBeLessThan(40);
  });
});
