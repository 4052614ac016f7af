/** Keeps the newest words in sight, but never the question out of it; and leaves a visitor who scrolls where they are. */

const NEAR_END_PX = 56;
/** Room above a question that has reached the top. */
const GAP_PX = 12;

/** What the view keeps in sight as words come: the question with what follows it, the end, or what the visitor reads. */
type Following = "question" | "end" | "nothing";

export class AutoScroller {
  /** The end is in sight. */
  isAtEnd = true;
  #following: Following = "end";
  #top = 0;

  /** `question`: the last one on the screen. */
  constructor(
    private readonly box: HTMLElement,
    private readonly question: () => Element | null,
    private readonly changed: () => void,
  ) {
    box.addEventListener("scroll", () => this.#onScroll(), { passive: true });
    // The layout may change without a scroll: keyboard, rotation, a taller composer.
    new ResizeObserver(() => this.contentChanged()).observe(box);
  }

  /** The visitor has scrolled away from the newest words. */
  get isReading(): boolean {
    return this.#following === "nothing";
  }

  /** Call after the content has grown. */
  contentChanged(): void {
    if (this.#following === "question") this.#moveTo(Math.min(this.#end, this.#questionTop()));
    if (this.#following === "end") this.#moveTo(this.#end);
    this.#checkEnd();
  }

  /** Goes to the newest words: to the end, or as far as the last question stays in sight. */
  follow(what: "question" | "end"): void {
    this.#follow(what);
    this.contentChanged();
  }

  /** Runs `change`, which adds content above, without moving what the visitor looks at. */
  keepPlace(anchor: Element | null, change: () => void): void {
    if (!this.isReading || !anchor) {
      change();
      return this.contentChanged();
    }
    const before = anchor.getBoundingClientRect().top;
    this.box.style.setProperty("overflow-anchor", "none");
    change();
    this.#moveTo(this.box.scrollTop + anchor.getBoundingClientRect().top - before);
    requestAnimationFrame(() => this.#follow(this.#following));
  }

  /** While the view follows something, the browser must not move it as well. */
  #follow(what: Following): void {
    this.#following = what;
    this.box.style.setProperty("overflow-anchor", what === "nothing" ? "auto" : "none");
  }

  get #end(): number {
    return Math.max(0, this.box.scrollHeight - this.box.clientHeight);
  }

  /** Where the question stands near the top; of one that is very long, its last lines do. */
  #questionTop(): number {
    const question = this.question();
    if (!question) return Infinity;
    const { top, bottom } = question.getBoundingClientRect();
    const from = Math.max(top - GAP_PX, bottom - this.box.clientHeight / 3);
    return this.box.scrollTop + from - this.box.getBoundingClientRect().top;
  }

  #moveTo(top: number): void {
    this.box.scrollTop = top;
    this.#top = this.box.scrollTop;
  }

  #onScroll(): void {
    const { scrollTop } = this.box,
      moved = scrollTop - this.#top,
      left = this.#end - scrollTop;
    this.#top = scrollTop;
    // Content that went away moves the view, too, but to its very end.
    if (Math.abs(moved) > 2 && !(moved < 0 && left < 2))
      this.#follow(left < NEAR_END_PX ? "end" : "nothing");
    this.#checkEnd();
  }

  #checkEnd(): void {
    const atEnd = this.#end - this.box.scrollTop < NEAR_END_PX;
    if (atEnd === this.isAtEnd) return;
    this.isAtEnd = atEnd;
    this.changed();
  }
}
