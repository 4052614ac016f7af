/** Reads GitHub's Markdown into blocks; the words inside are read by markdown-inline.ts when they are shown. */

export type Align = "left" | "center" | "right" | "";
export type References = Map<string, string>;

export type Block = { start: number } & (
  | { kind: "paragraph"; text: string }
  | { kind: "heading"; level: number; text: string }
  | { kind: "code"; text: string; lang: string }
  | { kind: "quote"; blocks: Block[] }
  | { kind: "list"; ordered: boolean; from: number; loose: boolean; items: Item[] }
  | { kind: "table"; align: Align[]; head: string[]; rows: string[][] }
  | { kind: "rule" }
);
export interface Item { done: boolean | null; blocks: Block[] }

/** Nesting beyond this is shown as plain paragraphs: hostile text must not exhaust the stack. */
const DEEPEST = 12;

/** More columns than this are no table: short rows are filled up, and that must not explode. */
const WIDEST = 64;

const BLANK = /^\s*$/;
const FENCE = /^( {0,3})(`{3,}|~{3,})[ \t]*([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})(?=[ \t]|$)/;
const RULE = /^ {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*$/;
const QUOTE = /^ {0,3}> ?/;
const MARKER = /^( {0,3})([-+*]|\d{1,9}[.)])(?:( +)(.*)|$)/;
const UNDERLINE = /^ {0,3}(=+|-+)[ \t]*$/;
const DELIMITERS = /^ {0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/;
const REFERENCE = /^ {0,3}\[([^\]\\]{1,200})\]:[ \t]*<?([^\s<>]+)>?(?:[ \t]+(?:"[^"]*"|'[^']*'|\([^)]*\)))?[ \t]*$/;

/** The blocks of a text, each with the offset at which it starts; definitions of references go into `references`. */
export function parse(text: string, references: References = new Map()): Block[] {
  return new Reader(text.split("\n"), references, 0).blocks();
}

export const referenceName = (name: string): string => name.trim().replace(/\s+/g, " ").toLowerCase();

class Reader {
  private at = 0;
  private offset = 0;
  private readonly lines: string[];

  constructor(lines: string[], private readonly references: References, private readonly depth: number) {
    this.lines = lines;
  }

  blocks(): Block[] {
    const found: Block[] = [];
    while (this.at < this.lines.length) {
      const start = this.offset;
      const block = BLANK.test(this.line()) ? void this.take() : this.block(start);
      if (block) found.push(block);
    }
    return found;
  }

  private line(ahead = 0): string {
    const line = this.lines[this.at + ahead] ?? "";
    return line.includes("\t") ? line.replace(/^[ \t]+/, (lead) => lead.replace(/\t/g, "    ")) : line;
  }

  private take(): string {
    const line = this.line();
    this.offset += (this.lines[this.at++]?.length ?? 0) + 1;
    return line;
  }

  private inner(lines: string[]): Block[] {
    if (this.depth >= DEEPEST) return [{ kind: "paragraph", start: 0, text: lines.join("\n").trim() }];
    return new Reader(lines, this.references, this.depth + 1).blocks();
  }

  private block(start: number): Block | undefined {
    const line = this.line();
    const fence = FENCE.exec(line);
    if (fence) return this.code(start, fence);
    const heading = HEADING.exec(line);
    if (heading) {
      this.take();
      const words = line.slice(heading[0].length).trim().replace(/(^|[ \t])#+$/, "");
      return { kind: "heading", start, level: heading[1]!.length, text: words.trimEnd() };
    }
    if (RULE.test(line)) {
      this.take();
      return { kind: "rule", start };
    }
    if (QUOTE.test(line)) return this.quote(start);
    if (MARKER.test(line)) return this.list(start);
    if (/^ {4}/.test(line)) return this.indented(start);
    if (line.includes("|") && DELIMITERS.test(this.line(1)) && this.line(1).includes("-")) {
      const table = this.table(start);
      if (table) return table;
    }
    const reference = REFERENCE.exec(line);
    if (reference) {
      this.take();
      const name = referenceName(reference[1]!);
      if (!this.references.has(name)) this.references.set(name, reference[2]!);
      return undefined;
    }
    return this.paragraph(start);
  }

  private code(start: number, fence: RegExpExecArray): Block {
    this.take();
    const close = new RegExp(`^ {0,3}\\${fence[2]![0]}{${fence[2]!.length},}[ \\t]*$`);
    const indent = new RegExp(`^ {0,${fence[1]!.length}}`);
    const lines: string[] = [];
    while (this.at < this.lines.length) {
      const raw = this.lines[this.at]!;
      this.take();
      if (close.test(raw)) break;
      lines.push(raw.replace(indent, ""));
    }
    return { kind: "code", start, text: lines.join("\n"), lang: fence[3]!.trim().split(/\s/)[0]! };
  }

  private indented(start: number): Block {
    const lines: string[] = [];
    while (this.at < this.lines.length && (/^ {4}/.test(this.line()) || BLANK.test(this.line()))) lines.push(this.take().slice(4));
    return { kind: "code", start, text: lines.join("\n").trimEnd(), lang: "" };
  }

  private quote(start: number): Block {
    const lines: string[] = [];
    while (this.at < this.lines.length) {
      const line = this.line();
      if (!QUOTE.test(line) && (BLANK.test(line) || this.interrupts(line))) break;
      lines.push(this.take().replace(QUOTE, ""));
    }
    return { kind: "quote", start, blocks: this.inner(lines) };
  }

  private list(start: number): Block {
    const first = MARKER.exec(this.line())!;
    const mark = first[2]!.slice(-1);
    const items: Item[] = [];
    let loose = false;
    for (;;) {
      const marker = MARKER.exec(this.line());
      if (!marker || this.at >= this.lines.length || marker[2]!.slice(-1) !== mark || RULE.test(this.line())) break;
      const { lines, gap } = this.item(marker);
      const task = /^\[([ xX])\][ \t]+/.exec(lines[0]!);
      if (task) lines[0] = lines[0]!.slice(task[0].length);
      items.push({ done: task ? task[1] !== " " : null, blocks: this.inner(lines) });
      const more = MARKER.exec(this.line());
      if (gap.inside || (gap.after && more && more[2]!.slice(-1) === mark)) loose = true;
    }
    return { kind: "list", start, ordered: mark === "." || mark === ")", from: parseInt(first[2]!, 10) || 0, loose, items };
  }

  /** The lines of one item without their indentation, and whether blank lines stand inside or after it. */
  private item(marker: RegExpExecArray): { lines: string[]; gap: { inside: boolean; after: boolean } } {
    const space = marker[3]?.length ?? 1;
    const indent = marker[1]!.length + marker[2]!.length + (space > 4 ? 1 : space);
    const lines = [this.take().slice(indent)];
    const gap = { inside: false, after: false };
    while (this.at < this.lines.length) {
      const line = this.line();
      if (BLANK.test(line)) {
        gap.after = true;
        lines.push("");
        this.take();
        continue;
      }
      const deeper = line.length - line.trimStart().length >= indent;
      if (!deeper && (gap.after || this.interrupts(line) || MARKER.test(line))) break;
      // A blank line before a nested list does not make the words around it paragraphs of their own.
      if (gap.after && !MARKER.test(line.trimStart())) gap.inside = true;
      gap.after = false;
      lines.push(deeper ? line.slice(indent) : line.trimStart());
      this.take();
    }
    return { lines, gap };
  }

  private table(start: number): Block | undefined {
    const head = cells(this.line());
    const marks = cells(this.line(1));
    if (head.length !== marks.length || head.length > WIDEST) return undefined;
    this.take();
    this.take();
    const align = marks.map((m): Align => (m.endsWith(":") ? (m.startsWith(":") ? "center" : "right") : m.startsWith(":") ? "left" : ""));
    const rows: string[][] = [];
    while (this.at < this.lines.length && !BLANK.test(this.line()) && !this.interrupts(this.line())) {
      const row = cells(this.take()).slice(0, head.length);
      rows.push([...row, ...Array<string>(head.length - row.length).fill("")]);
    }
    return { kind: "table", start, align, head, rows };
  }

  private paragraph(start: number): Block {
    const lines = [this.take().trimStart()];
    while (this.at < this.lines.length) {
      const line = this.line();
      const under = UNDERLINE.exec(line);
      if (under) {
        this.take();
        return { kind: "heading", start, level: under[1]![0] === "=" ? 1 : 2, text: lines.join("\n").trim() };
      }
      if (BLANK.test(line) || this.interrupts(line)) break;
      if (line.includes("|") && DELIMITERS.test(this.line(1)) && cells(line).length === cells(this.line(1)).length) break;
      lines.push(this.take().trimStart());
    }
    return { kind: "paragraph", start, text: lines.join("\n").trimEnd() };
  }

  /** Whether a line may end a paragraph before it: an ordered list only when it begins at 1. */
  private interrupts(line: string): boolean {
    if (FENCE.test(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line)) return true;
    const marker = MARKER.exec(line);
    return !!marker && !!marker[4]?.trim() && (!/\d/.test(marker[2]!) || /^1[.)]$/.test(marker[2]!));
  }
}

/** The cells of a table's row; a pipe in a code span must be escaped, as on GitHub. */
function cells(line: string): string[] {
  const parts = line.trim().replace(/^\|/, "").split(/(?<!\\)\|/);
  if (parts.length > 1 && BLANK.test(parts[parts.length - 1]!)) parts.pop();
  return parts.map((part) => part.trim().replace(/\\\|/g, "|"));
}
