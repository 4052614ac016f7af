/** Builds DOM nodes from Markdown blocks: a fixed list of elements, no markup is ever parsed by the browser. */
import { inline, type Inline } from "./markdown-inline";
import type { Block, Item, References } from "./markdown";
import { copy, h, externalLink, safeLink, type Child } from "./dom";
import type { Citation } from "./types";

/** What the nodes need to know of the widget around them. */
export interface Surroundings {
  t(key: string, params?: Record<string, string | number>): string;
  citations: readonly Citation[];
  references: References;
  /** The answer is still being made: its sources come at the end. */
  live: boolean;
  /** The highest level that the answer's headings have, and the level of the element that was made last. */
  headings: { top: number; last: number };
  copied(): void;
  failed(): void;
}

export function chip(n: number, around: Surroundings): HTMLElement {
  const citation = around.citations[n - 1];
  const href = citation && safeLink(citation.url);
  if (!citation || !href) return h("span", { class: "chip", part: "chip" }, String(n));
  const name = around.t("source", { n, title: citation.title });
  return externalLink(href, { class: "chip", part: "chip", "aria-label": name, title: citation.title }, String(n));
}

/** Never begins a line with a number: it stays with the word before it, unless that is so long that it must break. */
function joined(parts: Child[]): Child[] {
  const found: Child[] = [];
  let bond: HTMLElement | null = null;
  for (const part of parts) {
    const chip = part instanceof HTMLElement && part.classList.contains("chip");
    const before = found.at(-1);
    if (chip && !bond && typeof before === "string") {
      const [word = ""] = /\S{1,24}\s?$/.exec(before) ?? [];
      if (word) found.splice(-1, 1, before.slice(0, before.length - word.length), (bond = h("span", { class: "nowrap" }, word)));
    }
    if (chip && bond) bond.append(part);
    else if (bond && typeof part === "string" && /^[\s.,;:!?)]+$/.test(part)) bond.append(part);
    else { bond = null; found.push(part); }
  }
  return found;
}

function words(parts: readonly Inline[], around: Surroundings): Child[] {
  return joined(parts.map((part) => {
    switch (part.kind) {
      case "text": return part.text;
      case "code": return h("code", {}, part.text);
      case "strong": return h("strong", {}, ...words(part.inside, around));
      case "emphasis": return h("em", {}, ...words(part.inside, around));
      case "struck": return h("del", {}, ...words(part.inside, around));
      case "link": return externalLink(part.href, {}, ...words(part.inside, around));
      case "break": return h("br");
      // A number in brackets that no source answers to is only a number in brackets.
      case "cite": return cited(part.n, around);
    }
  }));
}

function cited(n: number, around: Surroundings): Child {
  return n >= 1 && (around.live || n <= around.citations.length) ? chip(n, around) : `[${n}]`;
}

const read = (text: string, around: Surroundings): Child[] => words(inline(text, around.references), around);

function code(block: Extract<Block, { kind: "code" }>, around: Surroundings): HTMLElement {
  const body = h("code", {}, block.text);
  const button = h("button", { type: "button", class: "text-button", part: "button" }, around.t("copy.code"));
  button.addEventListener("click", () => void copy(body.textContent ?? "", around));
  const name = block.lang ? `${around.t("code")}: ${block.lang}` : around.t("code");
  return h("div", { class: "code", part: "code" },
    h("div", { class: "bar" }, h("span", { class: "lang" }, block.lang), button),
    h("pre", { tabindex: "0", role: "region", "aria-label": name, dir: "ltr" }, body));
}

/** Letters that are written from right to left: Hebrew, Arabic and their neighbours. */
const LEFTWARD = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;

/** Gives a list, a table or a quote the direction of its first letter: `auto` would not look into its children. */
function turned(element: HTMLElement): HTMLElement {
  const [letter] = /\p{L}/u.exec(element.textContent) ?? [];
  if (letter) element.dir = LEFTWARD.test(letter) ? "rtl" : "ltr";
  return element;
}

function table(block: Extract<Block, { kind: "table" }>, around: Surroundings): HTMLElement {
  const row = (tag: "th" | "td", texts: string[]): HTMLElement => h("tr", {}, ...texts.map((text, i) => {
    const cell = h(tag, tag === "th" ? { scope: "col" } : {}, ...read(text, around));
    if (block.align[i]) cell.style.textAlign = block.align[i]!;
    return cell;
  }));
  return turned(h("div", { class: "table", tabindex: "0", role: "region", "aria-label": around.t("table") },
    h("table", {}, h("thead", {}, row("th", block.head)), h("tbody", {}, ...block.rows.map((texts) => row("td", texts))))));
}

function item(entry: Item, loose: boolean, around: Surroundings): HTMLElement {
  const element = h("li");
  if (entry.done !== null) {
    const name = around.t(entry.done ? "task.done" : "task.open");
    element.className = "task";
    element.append(h("span", { role: "img", "aria-label": name, class: entry.done ? "box done" : "box" }));
  }
  for (const block of entry.blocks) {
    if (block.kind === "paragraph" && !loose) element.append(...read(block.text, around));
    else element.append(draw(block, around));
  }
  return element;
}

function list(block: Extract<Block, { kind: "list" }>, around: Surroundings): HTMLElement {
  const element = h(block.ordered ? "ol" : "ul", {}, ...block.items.map((entry) => item(entry, block.loose, around)));
  if (block.ordered && block.from !== 1) element.setAttribute("start", String(block.from));
  return turned(element);
}

/** Headings start at the third level, the first two belong to the page, and no level is left out. */
function heading(block: Extract<Block, { kind: "heading" }>, around: Surroundings): HTMLElement {
  const { headings } = around;
  headings.top = Math.min(headings.top, block.level);
  const level = Math.min(6, headings.last + 1, 3 + block.level - headings.top);
  headings.last = level;
  return h(`h${level}` as "h3", { dir: "auto", class: `h${Math.min(4, block.level)}` }, ...read(block.text, around));
}

/** One block as an element. */
export function draw(block: Block, around: Surroundings): HTMLElement {
  switch (block.kind) {
    case "paragraph": return h("p", { dir: "auto" }, ...read(block.text, around));
    case "heading": return heading(block, around);
    case "code": return code(block, around);
    case "quote": return turned(h("blockquote", {}, ...block.blocks.map((inner) => draw(inner, around))));
    case "list": return list(block, around);
    case "table": return table(block, around);
    case "rule": return h("hr");
  }
}

/** How much of a growing paragraph has been read for good: characters, and the nodes made of them. */
const done = new WeakMap<HTMLElement, { offset: number; nodes: number }>();
const LONG = 500;
/** So much of the end is always read again: what comes may still change it. */
const OPEN = 200;

/** Where a text can be cut so that nothing after the cut changes what stands before it; 0 where it cannot. */
function cut(text: string, references: References): number {
  const at = text.lastIndexOf(" ", text.length - OPEN) + 1;
  if (at < 2 || /\s/.test(text[at - 2]!) || /[\s[]/.test(text[at]!)) return 0;
  const open = (parts: Inline[]): boolean => parts.some((part) => part.kind === "text" && /[*~`[<\\]|(?<!\w)_|_(?!\w)/.test(part.text));
  return open(inline(text.slice(0, at), references)) ? 0 : at;
}

function growParagraph(element: HTMLElement, text: string, around: Surroundings): void {
  const kept = done.get(element) ?? { offset: 0, nodes: 0 };
  while (element.childNodes.length > kept.nodes) element.lastChild!.remove();
  let rest = text.slice(kept.offset);
  const size = rest.length > LONG ? cut(rest, around.references) : 0;
  if (size) {
    element.append(...read(rest.slice(0, size), around));
    rest = rest.slice(size);
    done.set(element, { offset: kept.offset + size, nodes: element.childNodes.length });
  }
  element.append(...read(rest, around));
}

/** Brings the last block up to date without building again what has not changed; false when it must be drawn anew. */
export function grow(element: HTMLElement, before: Block, now: Block, around: Surroundings): boolean {
  if (before.kind === "paragraph" && now.kind === "paragraph" && now.text.startsWith(before.text)) {
    growParagraph(element, now.text, around);
    return true;
  }
  if (before.kind === "code" && now.kind === "code" && before.lang === now.lang && now.text.startsWith(before.text)) {
    const text = element.querySelector("pre > code")!;
    const added = now.text.slice(before.text.length);
    if (text.firstChild instanceof Text) text.firstChild.appendData(added);
    else text.append(added);
    return true;
  }
  if (before.kind === "list" && now.kind === "list" && before.ordered === now.ordered && before.loose === now.loose && now.from === before.from) {
    const last = before.items.length - 1;
    element.lastElementChild?.remove();
    for (const entry of now.items.slice(last)) element.append(item(entry, now.loose, around));
    turned(element);
    return true;
  }
  if (before.kind === "table" && now.kind === "table" && before.align.join() === now.align.join() && before.head.join("|") === now.head.join("|")) {
    const body = element.querySelector("tbody")!;
    body.lastElementChild?.remove();
    const fresh = table({ ...now, rows: now.rows.slice(body.childElementCount) }, around);
    body.append(...fresh.querySelector("tbody")!.children);
    return true;
  }
  return false;
}
