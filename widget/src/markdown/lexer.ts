/** Markdown to tokens: marked's lexer with the rules of a chat, and a bound on what it is given at once. */
import {
  Lexer,
  Marked,
  Tokenizer,
  type Links,
  type Token,
  type Tokens,
  type TokensList,
} from "marked";
import { maskCjkEmphasis, opensBesideCjk } from "./cjk-emphasis";
import { decodeEntities } from "./entities";
import { addressAtStart, nextAddress } from "./links";

export type { Links, Token, Tokens };

/** A number in brackets that may name a source. */
export interface CitationToken extends Tokens.Generic {
  type: "citation";
  number: number;
}

/** Quotes and lists nested deeper are shown as plain text, so hostile text cannot exhaust the stack. */
const MAX_NESTING = 12;
/**
 * Some of marked's rules take time that grows with the square of what they are given. So a paragraph that is longer than this, or
 * has more characters that may start something, is read in pieces; and a longer list or quote becomes two.
 */
const MAX_RUN = 4000;
const MAX_MARKS = 250;
const MARK = /[\\`*_~[\]()<@]/g;
const MARKS = new Set("\\`*_~[]()<@");
const MAX_LIST = 8000;
const MAX_QUOTE = 1000;
const ITEM = /\n(?= {0,3}(?:[-+*>]|\d{1,9}[.)])[ \t])/g;
/** A longer paragraph with a line under it is no heading. */
const MAX_HEADING = 1000;
/** Larger tables are shown as text: short rows are filled up to the header's width. */
const MAX_COLUMNS = 64;
const MAX_CELLS = 6000;

const CITATION = /^\[(\d{1,2})\](?![(:])(?:(?=\[([^\]\n]{1,200})\]))?/;
/** What may stand after an address that goes on. */
const UNFINISHED = /^[!-;=?-~]{0,40}$/;
const LINE_BREAK = /^<br[ \t]*\/?>/i;
const PLAIN = /(?:`+|[\s\S])(?:[^\\`*~_[!<]+|!(?!\[))*/y;

class ChatLexer extends Lexer {
  #blockDepth = 0;
  /** How much of the text stands after the last place found to cut at. */
  readonly #cuts = new Map<number, number>();
  #inlineDepth = 0;

  constructor(
    readonly source: string,
    links: Links,
    readonly live: boolean,
  ) {
    super(options());
    this.tokens = Object.assign([] as unknown as TokensList, {
      links: Object.assign(Object.create(null) as Links, links),
    });
  }

  override inlineTokens(src: string, tokens: Token[] = []): Token[] {
    if (this.#inlineDepth >= MAX_NESTING) {
      tokens.push({ type: "text", raw: src, text: decodeEntities(src) });
      return tokens;
    }
    this.#inlineDepth++;
    try {
      for (const piece of pieces(src)) super.inlineTokens(piece, tokens);
    } finally {
      this.#inlineDepth--;
    }
    return tokens;
  }

  /** Reads a list or a quote, and what is nested in it. */
  nested<T>(src: string, longest: number, read: (src: string) => T): T | undefined {
    if (this.#blockDepth >= MAX_NESTING) return undefined;
    const start = this.#blockDepth ? src : this.#bounded(src, longest);
    this.#blockDepth++;
    try {
      return read(start);
    } finally {
      this.#blockDepth--;
    }
  }

  /** The start of the rest of the text, cut where an item starts or at least between lines. */
  #bounded(src: string, longest: number): string {
    if (src.length <= longest) return src;
    const known = src.length - (this.#cuts.get(longest) ?? 0);
    if (known >= longest / 2 && known <= longest) return src.slice(0, known);
    const start = src.slice(0, longest);
    const item = [...start.matchAll(ITEM)].at(-1)?.index ?? 0;
    const length = (item > longest / 2 ? item : start.lastIndexOf("\n")) + 1;
    if (length < longest / 2) return start;
    this.#cuts.set(longest, src.length - length);
    return src.slice(0, length);
  }
}

const isBounded = (text: string): boolean =>
  text.length <= MAX_RUN && (text.match(MARK)?.length ?? 0) <= MAX_MARKS;

/** A text in pieces of bounded length and with a bounded number of marks, cut at spaces where there are any. */
function pieces(text: string): string[] {
  if (isBounded(text)) return [text];
  const result: string[] = [];
  let [from, marks, space] = [0, 0, 0];
  for (let at = 0; at < text.length; at++) {
    const character = text[at]!;
    if (character === " ") space = at;
    if (MARKS.has(character)) marks++;
    if (at - from < MAX_RUN && marks <= MAX_MARKS) continue;
    const middle = (from + at) / 2;
    const to = space > middle ? space : isLowSurrogate(text, at) ? at - 1 : at;
    result.push(text.slice(from, to));
    [from, marks, at] = [to, 0, to - 1];
  }
  return [...result, text.slice(from)];
}

const isLowSurrogate = (text: string, at: number): boolean =>
  (text.charCodeAt(at) & 0xfc00) === 0xdc00;

const inherited = Tokenizer.prototype;

const marked = new Marked({
  gfm: true,
  hooks: { emStrongMask: maskCjkEmphasis },
  extensions: [
    {
      name: "citation",
      level: "inline",
      tokenizer(src): CitationToken | undefined {
        const match = CITATION.exec(src);
        const names = match ? [match[1]!, match[2] ?? ""] : [];
        if (!match || names.some((name) => name.trim().toLowerCase() in this.lexer.tokens.links))
          return undefined;
        return { type: "citation", raw: match[0], number: Number(match[1]) };
      },
    },
    {
      name: "lineBreak",
      level: "inline",
      tokenizer(src) {
        const raw = LINE_BREAK.exec(src)?.[0];
        return raw ? { type: "br", raw } : undefined;
      },
    },
  ],
  // A tokenizer that returns undefined makes no token; marked tries the next rule.
  tokenizer: {
    // Markup is shown as text.
    html: () => undefined,
    tag: () => undefined,
    blockquote(src) {
      return (this.lexer as ChatLexer).nested(src, MAX_QUOTE, (start) =>
        inherited.blockquote.call(this, start),
      );
    },
    list(src) {
      return (this.lexer as ChatLexer).nested(src, MAX_LIST, (start) =>
        inherited.list.call(this, start),
      );
    },
    lheading(src) {
      const start =
        src.length > MAX_HEADING ? src.slice(0, src.lastIndexOf("\n", MAX_HEADING) + 1) : src;
      return inherited.lheading.call(this, start);
    },
    table(src) {
      return tooLarge(src) ? undefined : inherited.table.call(this, src);
    },
    emStrong(src, masked, before = "") {
      return inherited.emStrong.call(this, src, masked, opensBesideCjk(src, before) ? "" : before);
    },
    // Only double tildes strike: a single one is an approximation, a range or a subscript.
    del(src, masked, before) {
      return /^~~(?!~)/.test(src) && before !== "~"
        ? inherited.del.call(this, src, masked, before)
        : undefined;
    },
    url(src) {
      const { live, source } = this.lexer as ChatLexer;
      const address = addressAtStart(src);
      if (!address) return undefined;
      const { text, href } = address;
      // While an answer comes in, an address at its very end may go on: a link to its first half would lead to another host.
      if (live && UNFINISHED.test(src.slice(text.length)) && source.endsWith(src)) return undefined;
      return { type: "link", raw: text, href, title: null, text, tokens: [textToken(text)] };
    },
    inlineText(src) {
      PLAIN.lastIndex = 0;
      const raw = upToBreak(PLAIN.exec(src)![0]);
      return textToken(raw.slice(0, nextAddress(raw)));
    },
  },
});

let defaults: typeof marked.defaults | undefined;

/** The lexer writes into its options, so each one gets its own copy. */
function options(): typeof marked.defaults {
  defaults ??= marked.defaults;
  return { ...defaults };
}

function textToken(raw: string): Tokens.Text {
  return { type: "text", raw, text: decodeEntities(withoutSpacesAtLineEnds(raw)), escaped: false };
}

function withoutSpacesAtLineEnds(text: string): string {
  if (!text.includes("\n")) return text;
  const lines = text.split("\n");
  const last = lines.length - 1;
  return lines
    .map((line, i) => (i === 0 ? line.trimEnd() : i === last ? line.trimStart() : line.trim()))
    .join("\n");
}

/** Two spaces at the end of a line are a rule of their own. */
function upToBreak(run: string): string {
  let end = run.indexOf("  \n", 1);
  while (end > 0 && run[end - 1] === " ") end--;
  return end > 0 ? run.slice(0, end) : run;
}

function tooLarge(src: string): boolean {
  const [header = "", delimiters = ""] = src.split("\n", 2);
  if (!delimiters.includes("-") || !/^[|:\- \t]+$/.test(delimiters)) return false;
  const columns = header.split("|", MAX_COLUMNS + 2).length - 1;
  const end = src.indexOf("\n\n");
  const rows = (end < 0 ? src : src.slice(0, end)).split("\n", MAX_CELLS).length;
  return columns > MAX_COLUMNS || columns * rows > MAX_CELLS;
}

export interface LexOptions {
  /** Reference definitions that stand before this text. */
  links?: Links;
  /** The text is still being written. */
  live?: boolean;
}

/** The blocks of a text, and the reference definitions known after it. The `raw` texts of the blocks add up to the text. */
export function lex(text: string, { links = {}, live = false }: LexOptions = {}): TokensList {
  return new ChatLexer(text, links, live).lex(text);
}
