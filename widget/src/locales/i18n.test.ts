import { readdirSync, readFileSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import { language, LANGUAGES } from "./i18n";
import { registerChunk } from "../client/lazy-chunks";

type Words = Record<string, string | Record<string, string>>;
const src = `${process.cwd()}/src/`;
const folder = `${src}locales/`;
const files = readdirSync(folder)
  .filter((name) => name.endsWith(".json"))
  .map((name) => name.replace(".json", ""));
const readWords = (from: string): Record<string, Words> =>
  Object.fromEntries(
    files.map((name) => [name, JSON.parse(readFileSync(`${from}${name}.json`, "utf8")) as Words]),
  );
const words = readWords(folder);
/** Those of the operators' page, which go over the others there. */
const deskWords = readWords(`${folder}desk/`);
const sources = readdirSync(src, { recursive: true, encoding: "utf8" })
  // The desk has words of its own.
  .filter((name) => /(?<!\.test)\.ts$/.test(name) && !/desk/.test(name))
  .map((name) => readFileSync(src + name, "utf8"))
  .join("\n");
const forms = (value: string | Record<string, string>): string[] =>
  typeof value === "string" ? [value] : Object.values(value);
const holes = (text: string): string =>
  [...text.matchAll(/\{(\w+)\}/g)]
    .map((m) => m[1])
    .sort()
    .join();

beforeAll(() =>
  files.forEach(
    (name) => name !== "en" && registerChunk(`locale-${name}`, { default: words[name] }),
  ),
);

describe("the words", () => {
  it("stand in a file for each language that is offered", () => {
    expect([...files].sort()).toEqual([...LANGUAGES].sort());
  });

  it("lack no key in any language, and have none too many", () => {
    for (const all of [words, deskWords])
      for (const name of files)
        expect(Object.keys(all[name]!).sort(), name).toEqual(Object.keys(all["en"]!).sort());
  });

  it("have every plural form of their language, and the same places to fill in", () => {
    for (const [name, all] of files.flatMap((one) => [
      [one, words] as const,
      [one, deskWords] as const,
    ])) {
      const wanted = new Intl.PluralRules(name).resolvedOptions().pluralCategories;
      for (const [key, value] of Object.entries(all[name]!)) {
        const english = all["en"]![key]!;
        if (typeof english !== "string")
          expect(Object.keys(value).sort(), `${name} ${key}`).toEqual([...wanted].sort());
        else
          for (const text of forms(value))
            expect(holes(text), `${name} ${key}`).toBe(holes(english));
      }
    }
  });

  it("are all used, and all that is used is there", () => {
    const literal = new Set(
      [...sources.matchAll(/["`]([a-z][\w]*(?:\.[a-zA-Z]+)*)["`]/g)].map((m) => m[1]!),
    );
    const made =
      /^(notice|end|delete|link)\.|^(searching|writing|thinking|sending|queued|failed|rate\.|qr\.)/;
    for (const key of Object.keys(words["en"]!))
      expect(literal.has(key) || made.test(key), `${key} is not used`).toBe(true);
    const known = { ...words["en"], ...deskWords["en"] };
    // The analytics say their keys without the first part.
    for (const [, key] of sources.matchAll(/\bt\("([\w.]+)"/g))
      expect(key! in known || `desk.analytics.${key}` in known, `${key} is missing`).toBe(true);
  });

  it("count in the way of their language", () => {
    expect(language("en").t("wait.seconds", { n: 1 })).toContain("1 second.");
    expect(language("de").t("wait.seconds", { n: 5 })).toContain("5 Sekunden");
    expect(language("ar").t("wait.seconds", { n: 5 })).toContain("5 ثوانٍ");
    expect(language("ar").dir).toBe("rtl");
  });

  it("are English for a language that nobody wrote or that is none", () => {
    for (const tag of [undefined, "", "xx", "not a tag!", "fr"])
      expect(language(tag).t("send")).toBe("Send");
    expect(language("de-AT").t("send")).toBe("Senden");
    expect(language("de_CH").tag).toBe("de-CH");
  });

  it("name days as people do", () => {
    const now = new Date(2026, 5, 10, 9);
    const at = (day: number): string => new Date(2026, 5, day, 23).toISOString();
    expect([language("en").day(at(10), now), language("en").day(at(9), now)]).toEqual([
      "Today",
      "Yesterday",
    ]);
    expect(language("en").day(at(1), now)).toMatch(/Monday.*1/);
    expect(language("en").day("nonsense", now)).toBe("");
  });
});
