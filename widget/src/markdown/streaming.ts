/** Shows a Markdown text that grows: blocks that are done stay as they are, only what comes after them is read again. */
import { isInvisible, renderBlock, type RenderContext } from "./render";
import { lex, type Links, type Token, type Tokens } from "./lexer";
import { continues, openBlock, patchOpenBlock, type OpenBlock, type ReadBlock } from "./open-block";
import { patchNode } from "./patch";

type Headings = RenderContext["headings"];

/** A block of the text with its source. */
interface TextBlock extends ReadBlock {
  raw: string;
}

/** A block on the screen, the headings before and after it, and whether it was still being written. */
interface ShownBlock {
  raw: string;
  element: HTMLElement;
  before: Headings;
  after: Headings;
  live: boolean;
}

export class MarkdownView {
  #text = "";
  #shown: ShownBlock[] = [];
  /** How much of the text no later word can change, and how many blocks show it. */
  #settled = { offset: 0, blocks: 0 };
  #open: OpenBlock | undefined;
  #links: Links = {};
  readonly #headings: Headings;

  constructor(
    readonly element: HTMLElement,
    private context: RenderContext,
  ) {
    this.#headings = { ...context.headings };
  }

  /** Shows `text`; cheap when it continues what is shown. */
  update(text: string): void {
    const clean = normalised(text);
    if (clean === this.#text) return;
    if (!clean.startsWith(this.#text)) this.#startOver();
    this.#text = clean;
    const blocks = this.#continueOpenBlock() ?? this.#read(this.#settled.offset);
    this.#show(blocks, this.#settled.blocks);
    this.#settle(blocks);
  }

  /** Reads the whole text once more, now that its sources and references are all known. What is right stays. */
  finish(text: string, context: RenderContext): void {
    this.#startOver();
    this.context = { ...context, live: false };
    this.#text = normalised(text);
    this.#show(this.#read(0), 0, true);
  }

  #startOver(): void {
    this.#text = "";
    this.#settled = { offset: 0, blocks: 0 };
    this.#open = undefined;
    this.#links = {};
  }

  #read(offset: number): TextBlock[] {
    let start = offset;
    return this.#lex(this.#text.slice(offset)).map((token) => {
      const block = { token, start, raw: token.raw };
      start += token.raw.length;
      return block;
    });
  }

  #continueOpenBlock(): TextBlock[] | undefined {
    const from = this.#open;
    if (!from) return undefined;
    const [first, ...others] = this.#lex(from.head + this.#text.slice(from.offset));
    if (!first || !continues(first, from)) return undefined;
    const raw = this.#text.slice(from.start, from.offset) + first.raw.slice(from.head.length);
    let start = from.start + raw.length;
    const following = others.map((token) => {
      const block = { token, start, raw: token.raw };
      start += token.raw.length;
      return block;
    });
    return [{ token: first, start: from.start, raw, from }, ...following];
  }

  #lex(text: string): Token[] {
    const options = { links: this.#links, live: this.context.live };
    const tokens = lex(text, options);
    if (!options.live) return tokens;
    const calm = withoutUnfinished(text, lastKind(tokens));
    return calm === text ? tokens : lex(calm, options);
  }

  /** Brings the blocks on the screen from place `at` on in line with those of the text. */
  #show(blocks: readonly TextBlock[], at: number, sourcesChanged = false): void {
    for (const block of blocks) {
      if (isInvisible(block.token)) continue;
      const before = this.#shown[at - 1]?.after ?? this.#headings;
      const shown = this.#shown[at];
      if (!shown || !isUpToDate(shown, block, before, sourcesChanged))
        this.#shown[at] = this.#render(block, before, shown);
      at++;
    }
    for (const { element } of this.#shown.splice(at)) element.remove();
    const last = this.#shown.at(-1);
    if (last) last.live = this.context.live;
  }

  #render(
    { token, raw, from }: TextBlock,
    before: Headings,
    shown: ShownBlock | undefined,
  ): ShownBlock {
    const context = { ...this.context, headings: { ...before } };
    const fresh = renderBlock(token, context)!;
    let element = fresh;
    if (!shown) this.element.append(fresh);
    else if (from) patchOpenBlock((element = shown.element), fresh, from);
    else {
      // Texts that were split while the block grew become one again.
      shown.element.normalize();
      element = patchNode(shown.element, fresh) as HTMLElement;
    }
    return { raw, element, before, after: context.headings, live: false };
  }

  /**
   * A line that is not complete may still turn out to belong to the block before it: `2` after a list becomes its next item
   * when a full stop follows. So a block is settled once a complete line stands after it.
   */
  #settle(blocks: readonly TextBlock[]): void {
    const lastLine = this.#text.lastIndexOf("\n");
    const visible = blocks.filter(({ token }) => !isInvisible(token));
    const boundary = visible.findLast(({ start }) => start < lastLine) ?? visible[0];
    if (!boundary) return;
    for (const { token, start } of blocks)
      if (start < boundary.start && token.type === "def") this.#define(token as Tokens.Def);
    this.#settled = {
      offset: boundary.start,
      blocks: this.#settled.blocks + visible.indexOf(boundary),
    };
    const { after, before, element } = this.#shown[this.#settled.blocks]!;
    // Which level a heading gets depends on the headings before it, so a list with headings is always read whole.
    this.#open = sameHeadings(after, before)
      ? openBlock(boundary, element, (text) => this.#renderText(text, before))
      : undefined;
  }

  #renderText(text: string, before: Headings): HTMLElement | null {
    const [token] = lex(text, { links: this.#links });
    return token ? renderBlock(token, { ...this.context, headings: { ...before } }) : null;
  }

  #define({ tag, href, title }: Tokens.Def): void {
    if (!Object.hasOwn(this.#links, tag)) this.#links[tag] = { href, title: title ?? null };
  }
}

const normalised = (text: string): string =>
  text.includes("\r") ? text.replace(/\r\n?/g, "\n") : text;

const sameHeadings = (a: Headings, b: Headings): boolean => a.top === b.top && a.last === b.last;

/** Sources and references show only where there is a bracket. */
const isUpToDate = (
  shown: ShownBlock,
  { raw }: TextBlock,
  before: Headings,
  sourcesChanged: boolean,
): boolean =>
  shown.raw === raw &&
  !shown.live &&
  sameHeadings(shown.before, before) &&
  !(sourcesChanged && raw.includes("["));

/** A line that is the start of a block whose kind the next characters decide: `-` may become a list, a rule or the line under a heading. */
const BLOCK_START = /^[ \t>]*(?:[-+*_=~`]+|#{1,6}|\d{1,9}[.)])[ \t]*$/;
const NUMBER_START = /^[ \t>]*\d{1,9}$/;
const PIPE_START = /^[ \t>]*\|/;
const TABLE_DELIMITERS = /^[|:\- \t>]*$/;
const FENCE_END = /^[ \t>]*(?:`+|~+)$/;
/** A source's number or a task's box, at the end of a line. */
const BRACKET_START = /[ \t]?\[(?:\d{0,2}|[ xX]\]?[ \t]*)$/;
const LINK_START = /(!?)\[([^[\]]{0,300})\]\((?:<[^<>]*|[^\s()<>]*)$/;
const LINK_WORDS = /(!?)\[(?!\d{1,2}\]$)([^[\]]{0,300})\]?$/;
/** Code or strong words whose end is still to come, and marks of which it is not known yet what they begin. */
const OPEN_CODE = /(^|[^`])`([^`]*)$/;
const OPEN_STRONG = /\*\*(?![\s*])([^*]*)\*?$/;
const LAST_STARS = /(^|[\s(])\*{1,2}$/;
/** So much of a long line's end is looked at. */
const TAIL = 1000;

/** A growing text without what at its end would be shown as something that it will most likely not be. `kind` is its last block's. */
function withoutUnfinished(text: string, kind: string | undefined): string {
  const start = text.lastIndexOf("\n") + 1;
  const line = text.slice(Math.max(start, text.length - TAIL));
  const before = text.slice(0, Math.max(0, start - 1));
  if (kind === "code") return start && FENCE_END.test(line) ? before : text;
  if (BLOCK_START.test(line) || (start && NUMBER_START.test(line))) return before;
  const table = kind === "table" ? null : tableStart(before, line);
  if (table !== null) return text.slice(0, Math.max(0, table - 1));
  const calm = withOpenMarks(line);
  return calm === line ? text : text.slice(0, text.length - line.length) + calm;
}

/**
 * Where a line begins that may become a table's header; null where none does. It begins with a pipe and waits for the line under
 * it, which makes it one. `before`: the lines before the last one.
 */
function tableStart(before: string, line: string): number | null {
  const previous = before.lastIndexOf("\n") + 1;
  if (before && TABLE_DELIMITERS.test(line) && PIPE_START.test(before.slice(previous)))
    return previous;
  return PIPE_START.test(line) ? before.length + 1 : null;
}

/** The line with its open marks closed or left away: the words look as they will once the marks are complete. */
function withOpenMarks(line: string): string {
  if (count(line, "`") % 2)
    return line.replace(OPEN_CODE, (_, before: string, code: string) =>
      code ? `${before}\`${code}\`` : before,
    );
  const words = (_: string, image: string, text: string) => (image ? "" : text);
  const calm = line
    .replace(BRACKET_START, "")
    .replace(LINK_START, words)
    .replace(LINK_WORDS, words)
    .replace(LAST_STARS, "$1");
  return count(calm, "**") % 2
    ? calm.replace(OPEN_STRONG, (_, text: string) => (text ? `**${text.trimEnd()}**` : ""))
    : calm;
}

const count = (text: string, part: string): number => text.split(part).length - 1;

/** The kind of the block that a text ends in, within lists and quotes. */
function lastKind(tokens: readonly Token[]): string | undefined {
  const last = tokens.findLast(({ type }) => type !== "space");
  if (last?.type === "list") return lastKind((last as Tokens.List).items.at(-1)?.tokens ?? []);
  if (last?.type === "blockquote") return lastKind((last as Tokens.Blockquote).tokens);
  return last?.type;
}
