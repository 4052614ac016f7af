/** Addresses: bare ones found in a text, and the targets of links. */
import { safeLink } from "../dom";
import { decodeEntities } from "./entities";

const SCHEME = /(?<![a-z0-9])https?:\/\/|(?<![^\s*_~(])www\./gi;
const URL_CHARACTERS = /(?:https?:\/\/|www\.)[^\s<>"`]+/iy;
/** Outside ASCII, a full stop, comma, quote or bracket ends an address; letters of any script and a middle dot do not. */
const FOREIGN_END =
  /(?![\0-\x7f])[\p{Terminal_Punctuation}\p{Ps}\p{Pe}\p{Pi}\p{Pf}\u061f\u066a-\u066d]/u;
const TRAILING = new Set("?!.,:;*_~'\"]");
const MAIL_NAME = /[\w.+-]{1,64}$/;
const MAIL_HOST = /@[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){1,8}/iy;

/** The href of a Markdown link as it may be used; null where it leads to no http, https or mailto address. */
export const linkTarget = (href: string): string | null =>
  safeLink(decodeEntities(href).trim().replace(/ /g, "%20"));

/** The bare web or mail address with which `text` begins. */
export function addressAtStart(text: string): { text: string; href: string } | undefined {
  URL_CHARACTERS.lastIndex = 0;
  const characters = URL_CHARACTERS.exec(text)?.[0];
  if (!characters) return mailAtStart(text);
  const url = withoutPunctuation(characters.slice(0, end(characters)));
  if (!/^(?:https?:\/\/|www\.)[^\s/?#]/i.test(url)) return undefined;
  return { text: url, href: /^w/i.test(url) ? `https://${url}` : url };
}

function mailAtStart(text: string): { text: string; href: string } | undefined {
  const name = /^[\w.+-]{1,64}(?=@)/.exec(text)?.[0];
  const mail = name && mailAround(text, name.length);
  return mail && mail.start === 0 ? { text: mail.text, href: `mailto:${mail.text}` } : undefined;
}

/** Where, after the first character, the next bare address may start; the length of the text if there is none. */
export function nextAddress(text: string): number {
  SCHEME.lastIndex = 1;
  const web = SCHEME.exec(text)?.index ?? text.length;
  for (let at = text.indexOf("@", 1); at > 0 && at < web; at = text.indexOf("@", at + 1)) {
    const start = mailAround(text, at)?.start ?? 0;
    if (start > 0) return start;
  }
  return web;
}

function mailAround(text: string, at: number): { start: number; text: string } | undefined {
  MAIL_HOST.lastIndex = at;
  const host = MAIL_HOST.exec(text)?.[0].replace(/[.-]+$/, "");
  const name = MAIL_NAME.exec(text.slice(Math.max(0, at - 64), at))?.[0];
  return host?.includes(".") && name ? { start: at - name.length, text: name + host } : undefined;
}

function end(url: string): number {
  const stop = url.search(FOREIGN_END);
  return stop < 0 ? url.length : stop;
}

/** As GitHub does: punctuation at the end belongs to the sentence, and so does a bracket that was opened before the address. */
function withoutPunctuation(url: string): string {
  let length = url.length;
  let open = 0;
  for (const character of url) open += character === "(" ? 1 : character === ")" ? -1 : 0;
  for (; length > 0; length--) {
    const last = url[length - 1]!;
    if (last === ")" && open < 0) open++;
    else if (last === ";") length = entityStart(url, length) + 1;
    else if (!TRAILING.has(last)) break;
  }
  return url.slice(0, length);
}

/** Where the entity that ends at `length` starts; the semicolon's place if it is none. */
function entityStart(url: string, length: number): number {
  const entity = /&[a-z0-9]{1,31};$/i.exec(url.slice(Math.max(0, length - 33), length));
  return length - (entity?.[0].length ?? 1);
}
