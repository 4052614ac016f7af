/** Builds DOM nodes from marked's tokens: a fixed list of elements, no markup is ever parsed by the browser. */
import { copy, h, externalLink, safeLink, type Child } from "../dom";
import type { Citation } from "../types";
import { decodeEntities } from "./entities";
import type { CitationToken, Token, Tokens } from "./lexer";
import { linkTarget } from "./links";

/** How long a button says that it has copied. */
export const COPIED_MS = 1600;

/** What the nodes need to know of the widget around them. */
export interface RenderContext {
  t(key: string, params?: Record<string, string | number>): string;
  citations: readonly Citation[];
  /** The answer is still being made: its sources come at the end. */
  live: boolean;
  /** The answer ended before its sources came: numbers in brackets stand for nothing. */
  cutShort?: boolean;
  /** The highest level that the answer's headings have, and the level of the element that was made last. */
  headings: { top: number; last: number };
  copied(): void;
  failed(): void;
}

function citationChip(n: number, context: RenderContext): HTMLElement {
  const citation = context.citations[n - 1];
  const href = citation && safeLink(citation.url);
  if (!citation || !href) return h("span", { class: "chip", part: "chip" }, String(n));
  const name = context.t("source", { n, title: citation.title });
  return externalLink(
    href,
    { class: "chip", part: "chip", "aria-label": name, title: citation.title },
    String(n),
  );
}

const isChip = (part: Child): boolean =>
  part instanceof HTMLElement && part.classList.contains("chip");
const isPunctuation = (part: Child): boolean =>
  typeof part === "string" && /^[\s.,;:!?)]+$/.test(part);

/** Never begins a line with a number: it stays with the word before it, unless that is so long that it must break. */
function nowrap(parts: Child[]): Child[] {
  const result: Child[] = [];
  let word: HTMLElement | null = null;
  for (const part of parts) {
    if (isChip(part)) word ??= wrapLastWord(result);
    if (word && (isChip(part) || isPunctuation(part))) word.append(part);
    else {
      word = null;
      result.push(part);
    }
  }
  return result;
}

/** Puts the last word of the text that `parts` end with into an element that is not broken; null where there is none. */
function wrapLastWord(parts: Child[]): HTMLElement | null {
  const text = parts.at(-1);
  const word = typeof text === "string" && /\S{1,24}\s?$/.exec(text.slice(-25))?.[0];
  if (!word) return null;
  const rest = text.slice(0, text.length - word.length);
  const element = h("span", { class: "nowrap" }, word);
  parts.splice(-1, 1, ...(rest ? [rest] : []), element);
  return element;
}

/** Null stands for a number that is left out. */
type Part = Child | null;

/** Where inline tokens stand: links do not stand in links. */
interface Place {
  context: RenderContext;
  inLink: boolean;
}

function inline(tokens: readonly Token[], place: Place): Child[] {
  return nowrap(joinText(tokens.flatMap((token) => inlineToken(token, place))));
}

function inlineToken(token: Token, place: Place): Part | Child[] {
  const inside = (): Child[] => inline((token as Tokens.Generic).tokens ?? [], place);
  switch (token.type) {
    case "text":
      return (token as Tokens.Text).tokens ? inside() : (token as Tokens.Text).text;
    case "escape":
      return (token as Tokens.Escape).text;
    case "codespan":
      return h("code", {}, (token as Tokens.Codespan).text);
    case "strong":
      return h("strong", {}, ...inside());
    case "em":
      return h("em", {}, ...inside());
    case "del":
      return h("del", {}, ...inside());
    case "br":
      return h("br");
    case "link":
      return link(token as Tokens.Link, place);
    case "image":
      return image(token as Tokens.Image, place);
    case "checkbox":
      return checkbox((token as Tokens.Checkbox).checked, place.context);
    case "citation":
      return citation((token as CitationToken).number, place.context);
    // What is not on the list is shown as it was written.
    default:
      return token.raw;
  }
}

/** Neighbouring texts as one, without the space before a number that was left out. */
function joinText(parts: Part[]): Child[] {
  const joined: Child[] = [];
  for (const part of parts) {
    const last = joined.at(-1);
    if (part === null) {
      if (typeof last === "string") joined[joined.length - 1] = last.trimEnd();
    } else if (typeof part === "string" && typeof last === "string")
      joined[joined.length - 1] = last + part;
    else if (part !== "") joined.push(part);
  }
  return joined;
}

function link(token: Tokens.Link, place: Place): Child | Child[] {
  const href = place.inLink ? null : linkTarget(token.href);
  const words = inline(token.tokens, { ...place, inLink: place.inLink || !!href });
  return href ? externalLink(href, {}, ...words) : words;
}

/** An image is never loaded: its words become a link to it. */
function image(token: Tokens.Image, place: Place): Child | Child[] {
  const tokens = token.tokens.length
    ? token.tokens
    : [{ type: "text", raw: "", text: token.href.slice(0, 80) }];
  return link({ ...token, type: "link", tokens }, place);
}

function checkbox(checked: boolean, { t }: RenderContext): HTMLElement {
  return h("span", {
    role: "img",
    "aria-label": t(checked ? "task.done" : "task.open"),
    class: checked ? "box done" : "box",
  });
}

/** A number in brackets that no source answers to is only a number in brackets. */
function citation(n: number, context: RenderContext): Part {
  if (n >= 1 && (context.live || n <= context.citations.length)) return citationChip(n, context);
  return context.cutShort && !context.citations.length ? null : `[${n}]`;
}

function code(token: Tokens.Code, context: RenderContext): HTMLElement {
  const [lang = ""] = decodeEntities(token.lang ?? "").split(/\s/);
  const body = h("code", {}, token.text.endsWith("\n") ? token.text.slice(0, -1) : token.text);
  const button = h(
    "button",
    { type: "button", class: "text-button", part: "button" },
    context.t("copy.code"),
  );
  const copied = (): void => {
    button.textContent = context.t("copied");
    setTimeout(() => (button.textContent = context.t("copy.code")), COPIED_MS);
    context.copied();
  };
  button.addEventListener("click", () => {
    const text = button.closest(".code")?.querySelector("pre")?.textContent ?? "";
    void copy(text, { copied, failed: context.failed });
  });
  const name = lang ? `${context.t("code")}: ${lang}` : context.t("code");
  return h(
    "div",
    { class: "code", part: "code" },
    h("div", { class: "bar" }, h("span", { class: "lang" }, lang), button),
    h("pre", { tabindex: "0", role: "region", "aria-label": name, dir: "ltr" }, body),
  );
}

/** Letters that are written from right to left: Hebrew, Arabic and their neighbours. */
const RIGHT_TO_LEFT =
  /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;

/** Gives a list, a table or a quote the direction of its first letter: `auto` would not look into its children. */
export function withTextDirection(element: HTMLElement): HTMLElement {
  if (element.dir) return element;
  const [letter] = /\p{L}/u.exec(element.textContent) ?? [];
  if (letter) element.dir = RIGHT_TO_LEFT.test(letter) ? "rtl" : "ltr";
  return element;
}

function table(token: Tokens.Table, context: RenderContext): HTMLElement {
  const row = (cells: Tokens.TableCell[]): HTMLElement =>
    h(
      "tr",
      {},
      ...cells.map((one) => {
        const words = inline(one.tokens, { context, inLink: false });
        const cell = one.header ? h("th", { scope: "col" }, ...words) : h("td", {}, ...words);
        if (one.align) cell.style.textAlign = one.align;
        return cell;
      }),
    );
  return withTextDirection(
    h(
      "div",
      { class: "table", tabindex: "0", role: "region", "aria-label": context.t("table") },
      h("table", {}, h("thead", {}, row(token.header)), h("tbody", {}, ...token.rows.map(row))),
    ),
  );
}

function list(token: Tokens.List, context: RenderContext): HTMLElement {
  const items = token.items.map((entry) => {
    const item = h("li", entry.task ? { class: "task" } : {});
    for (const part of entry.tokens) item.append(...itemPart(part, context));
    return item;
  });
  const element = h(token.ordered ? "ol" : "ul", {}, ...items);
  if (token.ordered && token.start !== 1) element.setAttribute("start", String(token.start));
  return withTextDirection(element);
}

/** In a tight list the words stand in the item itself; a loose one has paragraphs. */
function itemPart(token: Token, context: RenderContext): Child[] {
  if (token.type === "text" || token.type === "checkbox")
    return inline([token], { context, inLink: false });
  const block = renderBlock(token, context);
  return block ? [block] : [];
}

/** Headings start at the third level, the first two belong to the page, and no level is left out. */
function heading(token: Tokens.Heading, context: RenderContext): HTMLElement {
  const { headings } = context;
  headings.top = Math.min(headings.top, token.depth);
  const level = Math.min(6, headings.last + 1, 3 + token.depth - headings.top);
  headings.last = level;
  const words = inline(token.tokens, { context, inLink: false });
  return h(`h${level}` as "h3", { dir: "auto", class: `h${Math.min(4, token.depth)}` }, ...words);
}

function quote(token: Tokens.Blockquote, context: RenderContext): HTMLElement {
  const blocks = token.tokens
    .map((inner) => renderBlock(inner, context))
    .filter((inner) => inner !== null);
  return withTextDirection(h("blockquote", {}, ...blocks));
}

/** Tokens that show nothing: blank lines and reference definitions. */
export const isInvisible = (token: Token): boolean =>
  token.type === "space" || token.type === "def";

/** One block as an element; null for one that shows nothing. */
export function renderBlock(token: Token, context: RenderContext): HTMLElement | null {
  if (isInvisible(token)) return null;
  switch (token.type) {
    case "heading":
      return heading(token as Tokens.Heading, context);
    case "code":
      return code(token as Tokens.Code, context);
    case "blockquote":
      return quote(token as Tokens.Blockquote, context);
    case "list":
      return list(token as Tokens.List, context);
    case "table":
      return table(token as Tokens.Table, context);
    case "hr":
      return h("hr");
    default:
      return h(
        "p",
        { dir: "auto" },
        ...inline((token as Tokens.Paragraph).tokens ?? [], { context, inLink: false }),
      );
  }
}
