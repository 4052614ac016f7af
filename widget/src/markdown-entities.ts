/** Characters written in Markdown by name, by number or behind a backslash. */

const NAMED: Record<string, string> = {
  amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0", copy: "©", reg: "®", trade: "™", hellip: "…",
  ndash: "–", mdash: "—", lsquo: "‘", rsquo: "’", ldquo: "“", rdquo: "”", bull: "•", middot: "·", euro: "€", times: "×", rarr: "→", larr: "←",
};
export const ENTITY = /&(?:#(\d{1,7})|#[xX]([\da-fA-F]{1,6})|([a-zA-Z]{2,8}));/y;

/** A link's target as it was meant. */
export function unescape(text: string): string {
  const whole = new RegExp(ENTITY.source, "g");
  return text.replace(/\\([!-/:-@[-`{-~])/g, "$1").replace(whole, (all, dec, hexa, name) => entity(all, dec, hexa, name));
}

/** What an entity stands for; unknown names stay as they are, impossible numbers become a replacement mark. */
export function entity(all: string, dec?: string, hexa?: string, name?: string): string {
  if (name) return Object.hasOwn(NAMED, name) ? NAMED[name]! : all;
  const code = dec ? parseInt(dec, 10) : parseInt(hexa!, 16);
  return code === 0 || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? "\ufffd" : String.fromCodePoint(code);
}
