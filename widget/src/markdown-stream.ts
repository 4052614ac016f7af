/** Shows a Markdown text that grows: blocks that are done stay as they are, only the last one is read again. */
import { parse, type Block } from "./markdown";
import { draw, grow, type Surroundings } from "./markdown-dom";

export class MarkdownView {
  private text = "";
  /** Where the last block starts; everything before it is on the screen for good. */
  private settled = 0;
  private last: { block: Block; element: HTMLElement } | null = null;

  constructor(readonly element: HTMLElement, private around: Surroundings) {}

  /** Shows `text`; cheap when it continues what is shown. */
  update(text: string): void {
    const clean = text.includes("\r") ? text.replace(/\r\n?/g, "\n") : text;
    if (clean === this.text) return;
    if (!clean.startsWith(this.text)) this.clear();
    this.text = clean;
    const blocks = parse(clean.slice(this.settled), this.around.references);
    const from = this.settled;
    blocks.forEach((block, i) => {
      this.show(block);
      if (i < blocks.length - 1) this.last = null;
      else this.settled = from + block.start;
    });
  }

  /** Reads the whole text once more, now that its sources and references are all known. */
  finish(text: string, around: Surroundings): void {
    this.clear();
    this.around = around;
    const clean = text.replace(/\r\n?/g, "\n");
    this.text = clean;
    this.element.append(...parse(clean, around.references).map((block) => draw(block, around)));
  }

  private show(block: Block): void {
    if (this.last && grow(this.last.element, this.last.block, block, this.around)) {
      this.last.block = block;
      return;
    }
    const element = draw(block, this.around);
    if (this.last) this.last.element.replaceWith(element);
    else this.element.append(element);
    this.last = { block, element };
  }

  private clear(): void {
    this.element.replaceChildren();
    this.text = "";
    this.settled = 0;
    this.last = null;
  }
}
