/**
 * The block that an answer ends in, while words are added to it. Of a long paragraph, list, table or code block only the end is
 * read and made again, so a word costs the same at the end of a long answer as at its start.
 */
import type { Token, Tokens } from "./lexer";
import { patchChildren, patchText } from "./patch";
import { withTextDirection } from "./render";

export interface OpenBlock {
  type: string;
  /** Where the block starts in the text, and where what is read again does. */
  start: number;
  offset: number;
  /** What has to stand before that to be read rightly: a table's header, or the line that opens a code block. */
  head: string;
  /** How many nodes, items, rows or, in code, characters are not made again. */
  kept: number;
  loose: boolean;
}

/** What was read of a block that may go on: all of it, or its end `from` where it was read again. */
export interface ReadBlock {
  token: Token;
  start: number;
  from?: OpenBlock | undefined;
}

/** How to go on with a block when more words come; undefined for one that is read whole again. */
export function openBlock(
  block: ReadBlock,
  shown: HTMLElement,
  renderText: (text: string) => HTMLElement | null,
): OpenBlock | undefined {
  switch (block.token.type) {
    case "paragraph":
      return openParagraph(block, shown, renderText);
    case "list":
      return openList(block);
    case "table":
      return openTable(block);
    case "code":
      return openCode(block);
    default:
      return undefined;
  }
}

function goneOn(
  { token, start, from }: ReadBlock,
  length: number,
  kept: number,
  head = "",
): OpenBlock {
  const offset = from ? from.offset - from.head.length : start;
  const loose = token.type === "list" && (token as Tokens.List).loose;
  return {
    type: token.type,
    start,
    offset: offset + length,
    head,
    kept: (from?.kept ?? 0) + kept,
    loose,
  };
}

/** Two items are read again: the blank line between them says whether the list is loose. */
function openList(block: ReadBlock): OpenBlock | undefined {
  const before = (block.token as Tokens.List).items.slice(0, -2);
  return before.length || block.from
    ? goneOn(
        block,
        before.reduce((sum, { raw }) => sum + raw.length, 0),
        before.length,
      )
    : undefined;
}

function openTable(block: ReadBlock): OpenBlock | undefined {
  const { raw, rows } = block.token as Tokens.Table;
  const head = raw.split("\n", 2).join("\n") + "\n";
  return rows.length
    ? goneOn(block, raw.trimEnd().lastIndexOf("\n") + 1, rows.length - 1, head)
    : undefined;
}

/** One whole line is read again, because the break at its end is shown only when another follows. */
function openCode(block: ReadBlock): OpenBlock | undefined {
  const { raw } = block.token as Tokens.Code;
  const body = raw.indexOf("\n") + 1;
  const line = raw.lastIndexOf("\n", raw.lastIndexOf("\n") - 1) + 1;
  return /^[`~]/.test(raw) && line > body
    ? goneOn(block, line, line - body, raw.slice(0, body))
    : block.from;
}

/** A paragraph is read whole up to this length; after that, so much of its end is always read again. */
const LONG_PARAGRAPH = 600;
const PARAGRAPH_END = 200;

function openParagraph(
  block: ReadBlock,
  shown: HTMLElement,
  renderText: (text: string) => HTMLElement | null,
): OpenBlock | undefined {
  const { raw, tokens } = block.token as Tokens.Paragraph;
  const length = raw.length > LONG_PARAGRAPH ? safeSplitOffset(raw, tokens) : 0;
  const rendered = length ? renderText(raw.slice(0, length)) : null;
  if (!rendered) return block.from;
  const kept = rendered.childNodes.length;
  const last = shown.childNodes[(block.from?.kept ?? 0) + kept - 1];
  const words = rendered.lastChild;
  if (!(last instanceof Text && words instanceof Text && last.data.startsWith(words.data)))
    return block.from;
  // A selection keeps its place when a text is split.
  if (last.length > words.length) last.splitText(words.length);
  return goneOn(block, length, kept);
}

/** Where a paragraph can be cut so that nothing after the cut changes what stands before it; 0 where it cannot. */
function safeSplitOffset(raw: string, tokens: readonly Token[]): number {
  let end = 0;
  let offset = 0;
  for (const token of tokens) {
    if (token.type === "text") {
      if (/[*~`[<\\_]/.test(token.raw)) break;
      const space = token.raw.lastIndexOf(" ", raw.length - PARAGRAPH_END - end);
      if (space > 0 && /^\p{L} \p{L}/u.test(token.raw.slice(space - 1, space + 2)))
        offset = end + space + 1;
    }
    end += token.raw.length;
    if (end > raw.length - PARAGRAPH_END) break;
  }
  return offset;
}

/** Whether what was read again is the rest of the same block. */
export const continues = (token: Token, { type, loose }: OpenBlock): boolean =>
  token.type === type && (type !== "list" || (token as Tokens.List).loose === loose);

/** Puts what was made again into the block on the screen. */
export function patchOpenBlock(
  shown: HTMLElement,
  fresh: HTMLElement,
  { type, kept }: OpenBlock,
): void {
  if (type === "code") {
    const [text, end] = [shown, fresh].map(
      (block) => block.querySelector("pre > code")!.firstChild as Text | null,
    );
    if (text) patchText(text, end?.data ?? "", kept);
  } else if (type === "table") {
    patchChildren(shown.querySelector("tbody")!, fresh.querySelector("tbody")!, kept);
  } else patchChildren(shown, fresh, kept);
  if (type === "list" || type === "table") withTextDirection(shown);
}
