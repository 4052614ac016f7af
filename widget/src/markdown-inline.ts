/** Reads the words of one Markdown block: emphasis, code, links, citations. Links are only what `safeLink` lets through. */
import { referenceName, type References } from "./markdown";
import { ENTITY, entity, unescape } from "./markdown-entities";
import { safeLink } from "./dom";

export type Inline =
  | { kind: "text"; text: string }
  | { kind: "code"; text: string }
  | { kind: "strong" | "emphasis" | "struck"; inside: Inline[] }
  | { kind: "link"; href: string; inside: Inline[] }
  | { kind: "cite"; n: number }
  | { kind: "break" };

const PLAIN = /[^\\`*_~[\]!<&\n]+/y;
const BARE = /(?:https?:\/\/|www\.)[^\s<>"`]+/y;
const EMAIL = /[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}/;
const ANGLE = /<((?:https?:\/\/|mailto:)[^\s<>]*|[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+)>/iy;
const TARGET = /\(\s*(?:<([^<>\n]*)>|((?:[^\s()\\]|\\.|\((?:[^\s()\\]|\\.)*\))*))(?:\s+(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\((?:[^()\\]|\\.)*\)))?\s*\)/y;
const REFERRED = /\[([^\]\\]{0,200})\]/y;
const CITED = /\[(\d{1,2})\](?![(:])(?:(?=\[([^\]]{1,200})\]))?/y;
const ESCAPED = /[!-/:-@[-`{-~]/;
const PUNCTUATION = /[\p{P}\p{S}]/u;
const MOST_OPEN = 40;

interface Mark { at: number; char: string; count: number; opens: boolean; closes: boolean }
interface Bracket { at: number; image: boolean; from: number; marks: number }

/** The parts of a block's text, in order. Work grows with the length of the text, whatever stands in it. */
export function inline(text: string, references: References = new Map()): Inline[] {
  return new Scanner(text, references).run();
}

class Scanner {
  private at = 0;
  private out: Inline[] = [];
  private marks: Mark[] = [];
  private brackets: Bracket[] = [];

  constructor(private readonly text: string, private readonly references: References) {}

  run(): Inline[] {
    while (this.at < this.text.length) this.step(this.text[this.at]!);
    this.emphasise(0);
    return merged(this.out);
  }

  private match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.at;
    return pattern.exec(this.text);
  }

  private say(text: string): void {
    if (text) this.out.push({ kind: "text", text });
  }

  private step(char: string): void {
    if (char === "\\") return this.escape();
    if (char === "`") return this.code();
    if (char === "*" || char === "_" || char === "~") return this.mark(char);
    if (char === "[" || (char === "!" && this.text[this.at + 1] === "[")) return this.open(char === "!");
    if (char === "]") return this.close();
    if (char === "<") return this.angle();
    if (char === "\n") return this.newline();
    if (char === "&") {
      const found = this.match(ENTITY);
      this.say(found ? entity(...(found as unknown as [string])) : "&");
      this.at += found?.[0].length ?? 1;
      return;
    }
    if (char === "!") {
      this.say("!");
      this.at++;
      return;
    }
    this.words();
  }

  private escape(): void {
    const next = this.text[this.at + 1] ?? "";
    if (next === "\n") this.out.push({ kind: "break" });
    else this.say(ESCAPED.test(next) ? next : "\\" + next);
    this.at += 1 + next.length;
  }

  private code(): void {
    const ticks = /`+/y;
    const run = this.match(ticks)![0];
    let end = this.text.indexOf(run, this.at + run.length);
    for (let tries = 0; end >= 0 && tries < MOST_OPEN; tries++) {
      let stop = end;
      while (this.text[stop] === "`") stop++;
      if (stop - end === run.length) break;
      end = this.text.indexOf(run, stop);
    }
    if (end < 0 || this.text[end + run.length] === "`") {
      this.say(run);
      this.at += run.length;
      return;
    }
    const body = this.text.slice(this.at + run.length, end).replace(/\n/g, " ");
    this.out.push({ kind: "code", text: /^ .*[^ ].* $/.test(body) ? body.slice(1, -1) : body });
    this.at = end + run.length;
  }

  private newline(): void {
    const last = this.out[this.out.length - 1];
    const hard = last?.kind === "text" && last.text.endsWith("  ");
    if (last?.kind === "text") last.text = last.text.trimEnd();
    if (hard) this.out.push({ kind: "break" });
    else this.say("\n");
    this.at++;
    while (this.text[this.at] === " ") this.at++;
  }

  private angle(): void {
    const found = this.match(ANGLE);
    const inner = found?.[1] ?? "";
    const href = found && safeLink(inner.includes(":") ? inner : "mailto:" + inner);
    if (href) this.out.push({ kind: "link", href, inside: [{ kind: "text", text: inner.replace(/^mailto:/i, "") }] });
    else this.say(found ? inner : "<");
    this.at += found?.[0].length ?? 1;
  }

  /** A run of ordinary characters, with the addresses in it. */
  private words(): void {
    const run = this.match(PLAIN)![0];
    const web = /(?<![\p{L}\p{N}])(?:https?:\/\/|www\.)/u.exec(run);
    const before = web ? run.slice(0, web.index) : run;
    const mail = EMAIL.exec(before);
    if (mail) {
      this.say(before.slice(0, mail.index));
      const address = mail[0].replace(/[.-]+$/, "");
      this.link("mailto:" + address, address);
      this.at += mail.index + address.length;
      return;
    }
    this.say(before);
    this.at += before.length;
    if (web) this.bare();
  }

  private bare(): void {
    const found = this.match(BARE)?.[0] ?? this.text.slice(this.at, this.at + 4);
    let url = found.replace(/(?:[?!.,:;*_~'"\]]|&[a-z]+;)+$/i, "");
    while (url.endsWith(")") && url.split(")").length > url.split("(").length) url = url.slice(0, -1).replace(/[?!.,:;]+$/, "");
    if (!/^(?:https?:\/\/|www\.)[^\s/]+/i.test(url)) {
      this.say(found);
      this.at += found.length;
      return;
    }
    this.link(url.startsWith("www.") ? "https://" + url : url, url);
    this.at += url.length;
  }

  private link(href: string, words: string): void {
    const safe = this.brackets.some((b) => !b.image) ? null : safeLink(href);
    if (safe) this.out.push({ kind: "link", href: safe, inside: [{ kind: "text", text: words }] });
    else this.say(words);
  }

  private mark(char: string): void {
    let end = this.at;
    while (this.text[end] === char) end++;
    const before = this.text[this.at - 1] ?? " ";
    const after = this.text[end] ?? " ";
    const [spaceBefore, spaceAfter] = [/\s/.test(before), /\s/.test(after)];
    const [pointBefore, pointAfter] = [PUNCTUATION.test(before), PUNCTUATION.test(after)];
    const left = !spaceAfter && (!pointAfter || spaceBefore || pointBefore);
    const right = !spaceBefore && (!pointBefore || spaceAfter || pointAfter);
    const word = char === "_";
    this.marks.push({
      at: this.out.length, char, count: end - this.at,
      opens: left && (!word || !right || pointBefore), closes: right && (!word || !left || pointAfter),
    });
    this.out.push({ kind: "text", text: this.text.slice(this.at, end) });
    this.at = end;
  }

  private open(image: boolean): void {
    const cited = image ? null : this.match(CITED);
    if (cited && ![cited[1]!, cited[2] ?? ""].some((name) => this.references.has(referenceName(name)))) {
      this.out.push({ kind: "cite", n: Number(cited[1]) });
      this.at += cited[0].length;
      return;
    }
    const length = image ? 2 : 1;
    if (this.brackets.length < MOST_OPEN) {
      this.brackets.push({ at: this.out.length, image, from: this.at + length, marks: this.marks.length });
    }
    this.out.push({ kind: "text", text: image ? "![" : "[" });
    this.at += length;
  }

  private close(): void {
    const bracket = this.brackets.pop();
    this.at++;
    const target = bracket && this.target(bracket);
    if (!bracket || !target) return this.say("]");
    this.emphasise(bracket.marks);
    const inside = merged(this.out.splice(bracket.at).slice(1));
    this.at = target.end;
    // An image is never loaded: its words become a link to it. Links do not stand in links.
    const words = bracket.image && !inside.length ? [{ kind: "text" as const, text: target.href.slice(0, 80) }] : inside;
    const href = safeLink(unescape(target.href));
    if (!bracket.image) this.brackets = this.brackets.filter((b) => b.image);
    if (href && !words.some(hasLink)) this.out.push({ kind: "link", href, inside: words });
    else this.out.push(...words);
  }

  private target(bracket: Bracket): { href: string; end: number } | null {
    const direct = this.text[this.at] === "(" ? this.match(TARGET) : null;
    if (direct) return { href: direct[1] ?? direct[2] ?? "", end: this.at + direct[0].length };
    const words = this.text.slice(bracket.from, this.at - 1);
    const referred = this.match(REFERRED);
    const href = this.references.get(referenceName(referred?.[1] || words.slice(0, 200)));
    return href === undefined ? null : { href, end: this.at + (referred?.[0].length ?? 0) };
  }

  /** Pairs the emphasis marks from `bottom` on, as CommonMark does, looking back a bounded way. */
  private emphasise(bottom: number): void {
    const marks = this.marks.splice(bottom);
    const wraps: { from: number; to: number; kind: "strong" | "emphasis" | "struck"; size: number }[] = [];
    const open: Mark[] = [];
    for (const mark of marks) {
      while (mark.closes && mark.count > 0) {
        const index = findOpener(open, mark);
        if (index < 0) break;
        const opener = open[index]!;
        open.length = index + 1;
        const size = mark.char === "~" ? mark.count : opener.count > 1 && mark.count > 1 ? 2 : 1;
        wraps.push({ from: opener.at, to: mark.at, kind: mark.char === "~" ? "struck" : size === 2 ? "strong" : "emphasis", size });
        opener.count -= size;
        mark.count -= size;
        if (!opener.count) open.pop();
      }
      if (mark.opens && mark.count) open.push(mark);
    }
    if (wraps.length) this.wrap(wraps, bottom ? marks[0]!.at : 0);
  }

  /** Builds the tree in one walk: inner pairs come before outer ones in `wraps`. */
  private wrap(wraps: { from: number; to: number; kind: "strong" | "emphasis" | "struck"; size: number }[], base: number): void {
    const starts = new Map<number, typeof wraps>();
    const ends = new Map<number, typeof wraps>();
    for (const pair of wraps) {
      starts.set(pair.from, [pair, ...(starts.get(pair.from) ?? [])]);
      ends.set(pair.to, [...(ends.get(pair.to) ?? []), pair]);
    }
    const stack: Inline[][] = [this.out.slice(0, base)];
    this.out.slice(base).forEach((part, i) => {
      const at = base + i;
      const closing = ends.get(at) ?? [];
      const opening = starts.get(at) ?? [];
      for (const pair of closing) {
        const inside = merged(stack.pop()!);
        stack[stack.length - 1]!.push({ kind: pair.kind, inside });
      }
      const used = [...closing, ...opening].reduce((sum, pair) => sum + pair.size, 0);
      const left = used && part.kind === "text" ? { kind: "text" as const, text: part.text.slice(used) } : part;
      if (left.kind !== "text" || left.text) stack[stack.length - 1]!.push(left);
      for (let n = 0; n < opening.length; n++) stack.push([]);
    });
    this.out = stack[0]!;
  }
}

function findOpener(open: Mark[], closer: Mark): number {
  const lowest = Math.max(0, open.length - MOST_OPEN);
  for (let i = open.length - 1; i >= lowest; i--) {
    const opener = open[i]!;
    if (opener.char !== closer.char) continue;
    if (closer.char === "~" && (opener.count !== closer.count || closer.count > 2)) continue;
    const both = (opener.closes || closer.opens) && (opener.count + closer.count) % 3 === 0;
    if (both && !(opener.count % 3 === 0 && closer.count % 3 === 0)) continue;
    return i;
  }
  return -1;
}

const hasLink = (part: Inline): boolean => part.kind === "link" || ("inside" in part && part.inside.some(hasLink));

function merged(parts: Inline[]): Inline[] {
  const result: Inline[] = [];
  for (const part of parts) {
    const last = result[result.length - 1];
    if (part.kind === "text" && last?.kind === "text") result[result.length - 1] = { kind: "text", text: last.text + part.text };
    else result.push(part);
  }
  return result;
}
