/** The options of the pasted tag (strings) and of Baton.init (values), read into one checked shape. */
import type { Options } from "./types";

export interface Settings extends Options {
  sessionScope: "browser" | "tab" | "page";
  sessionExpiry: number;
  heartbeatInterval: number;
  autoRestore: boolean;
}

type Raw = Readonly<Record<string, unknown>>;

/** An id that the service issued: the conversation itself. */
export const isSessionId = (key: string) => /^ses_[\w-]{32}$/.test(key);
/** What may name a conversation. Nothing that looks like an id does. */
const isName = (key: string) => /^(?!ses_)[\w.:@-]{1,128}$/.test(key);

/**
 * Anything that is not what it should be counts as not given: a typo in a tag must not take the chat away.
 * `site` is what the server knows of the site's branding; an option that is given goes before it.
 */
export function readOptions(given: Raw, site?: Raw): Settings {
  const result = parse(given) as Settings & Record<string, unknown>;
  for (const [name, value] of Object.entries(parse(site))) result[name] ??= value;
  return result;
}

function parse(given: Raw | undefined): Settings {
  // Own properties alone: what the page added to Object.prototype is no option.
  const raw: Raw = { __proto__: null, ...given };
  const sessionKey = text(raw.sessionKey);
  return {
    ...Object.fromEntries(
      ["color", "title", "greeting", "lang", "offset"].map((name) => [name, text(raw[name])]),
    ),
    position: oneOf(raw.position, "bottom-right", "bottom-left"),
    theme: oneOf(raw.theme, "auto", "light", "dark"),
    suggestions: list(raw.suggestions),
    sessionKey:
      sessionKey && (isSessionId(sessionKey) || isName(sessionKey)) ? sessionKey : undefined,
    sessionScope: oneOf(raw.sessionScope, "browser", "tab", "page") ?? "browser",
    sessionExpiry: seconds(raw.sessionExpiry) ?? 1800,
    onEnd: oneOf(raw.onEnd, "stay", "close"),
    heartbeatInterval: seconds(raw.heartbeatInterval) ?? 30,
    autoRestore: parseBoolean(raw.autoRestore),
    chatUrl: address(raw.chatUrl),
    apiUrl: address(raw.apiUrl),
    assistantName: text(raw.assistant_name),
    logoUrl: address(raw.logo_url),
    people: oneOf(raw.people, "away", "online"),
  };
}

const text = (value: unknown) =>
  typeof value === "string" && value.trim()
    ? value.trim()
    : typeof value === "number"
      ? String(value)
      : undefined;

function oneOf<T extends string>(value: unknown, ...allowed: T[]): T | undefined {
  return allowed.find((name) => name === value);
}

function list(value: unknown): string[] | undefined {
  let parsed = value;
  if (typeof value === "string") {
    try {
      parsed = JSON.parse(value);
    } catch {
      return undefined;
    }
  }
  if (!Array.isArray(parsed)) return undefined;
  const texts = parsed.filter(
    (entry): entry is string => typeof entry === "string" && entry.trim() !== "",
  );
  return texts.length ? texts.slice(0, 8) : undefined;
}

function seconds(value: unknown): number | undefined {
  const number =
    typeof value === "number"
      ? value
      : /^\s*\d+\s*$/.test(String(value ?? ""))
        ? Number(value)
        : NaN;
  return Number.isSafeInteger(number) && number >= 1 ? number : undefined;
}

const parseBoolean = (value: unknown) =>
  !(value === false || value === "false" || value === "0" || value === "no" || value === "off");

/** An http(s) address, made absolute against the page it stands on. */
function address(value: unknown): string | undefined {
  const given = text(value);
  if (!given) return undefined;
  try {
    const url = new URL(given, document.baseURI);
    return /^https?:$/.test(url.protocol) ? url.href : undefined;
  } catch {
    return undefined;
  }
}
