/** The words of the widget by language: one JSON file each, plain strings or plural forms. */
import en from "./en.json";
import { getChunk, loadChunk } from "../client/lazy-chunks";

type Plural = Partial<Record<Intl.LDMLPluralRule, string>> & { other: string };
type Words = Record<string, string | Plural>;

/** The languages that have words: English is here, each other one is a part that is fetched when asked for. */
export const LANGUAGES = ["en", "de", "ar"];
const RIGHT_TO_LEFT = new Set(["ar", "fa", "he", "ur"]);

export type Params = Record<string, string | number>;

export interface Language {
  /** A BCP 47 tag that `Intl` and the `lang` attribute understand. */
  readonly tag: string;
  readonly dir: "ltr" | "rtl";
  /** The words of a key; `n` among the params chooses the plural form. A key that nobody knows comes back as `error`. */
  t(key: string, params?: Params): string;
  time(iso: string): string;
  day(iso: string, now?: Date): string;
}

function tagOf(wanted: string | undefined): string {
  try {
    return Intl.getCanonicalLocales(wanted?.trim().replace("_", "-") || "en")[0] ?? "en";
  } catch {
    return "en"; // a tag that is none must not take the widget down
  }
}

function fill(text: string, params: Params, tag: string): string {
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = params[name];
    return typeof value === "number"
      ? value.toLocaleString(tag, { numberingSystem: "latn" })
      : (value ?? whole);
  });
}

const made = new Map<string, Language>();

function baseOf(tag: string): string {
  const base = tag.split("-")[0]!;
  return LANGUAGES.includes(base) ? base : "en";
}

/** Fetches the words of a language; settles in any case. */
export async function loadLocale(wanted?: string): Promise<void> {
  const base = baseOf(tagOf(wanted));
  if (base !== "en") await loadChunk(`locale-${base}`);
}

/** The language for a `lang` option; English where a language has no words or they have not been fetched. */
export function language(wanted?: string): Language {
  const asked = tagOf(wanted);
  const base = baseOf(asked);
  const other = getChunk<{ default: Words }>(`locale-${base}`)?.default;
  const words: Words = other ?? en;
  const tag = other || asked.startsWith("en") ? asked : "en";
  const known = made.get(tag);
  if (known) return known;
  const plural = new Intl.PluralRules(tag);
  const clock = new Intl.DateTimeFormat(tag, {
    hour: "numeric",
    minute: "2-digit",
    numberingSystem: "latn",
  });
  const calendar = new Intl.DateTimeFormat(tag, {
    weekday: "long",
    day: "numeric",
    month: "long",
    numberingSystem: "latn",
  });
  const t = (key: string, params: Params = {}): string => {
    const [message = (en as Words)["error"]!] = [
      words,
      ...["messages", "people"].map((name) => getChunk<{ words: Words }>(name)?.words),
    ].flatMap((messages) => messages?.[key] ?? []);
    if (typeof message === "string") return fill(message, params, tag);
    return fill(message[plural.select(Number(params["n"] ?? 0))] ?? message.other, params, tag);
  };
  const result: Language = {
    tag,
    dir: other && RIGHT_TO_LEFT.has(base) ? "rtl" : "ltr",
    t,
    time: (iso) => (valid(iso) ? clock.format(new Date(iso)) : ""),
    day: (iso, now = new Date()) => {
      if (!valid(iso)) return "";
      const days = Math.round((midnight(now) - midnight(new Date(iso))) / 86_400_000);
      return days === 0 ? t("today") : days === 1 ? t("yesterday") : calendar.format(new Date(iso));
    },
  };
  made.set(tag, result);
  return result;
}

const valid = (iso: string): boolean => !Number.isNaN(Date.parse(iso));
const midnight = (date: Date): number =>
  new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();
