/** What the tests of Markdown have in common: words by their keys, sources, and a text as it is shown when it is complete. */
import type { RenderContext } from "../src/markdown/render";
import { MarkdownView } from "../src/markdown/streaming";

/** So many sources for an answer. */
export const pages = (count: number) =>
  Array.from({ length: count }, (_, i) => ({
    title: `Page ${i + 1}`,
    url: `https://docs.example/${i + 1}`,
    snippet: "",
  }));

export const renderContext = (more: Partial<RenderContext> = {}): RenderContext => ({
  t: (key) => key,
  citations: [],
  live: false,
  headings: { top: 7, last: 2 },
  copied() {},
  failed() {},
  ...more,
});

export function shown(text: string, more: Partial<RenderContext> = {}): HTMLElement {
  const element = document.createElement("div");
  new MarkdownView(element, renderContext(more)).finish(text, renderContext(more));
  return element;
}
