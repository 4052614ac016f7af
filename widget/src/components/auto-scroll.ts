/** Keeps the newest words in sight, unless the visitor has scrolled up to read. */

const NEAR_END_PX = 56;

export class AutoScroller {
  /** Whether the end is in sight and is to stay so. */
  isPinnedToEnd = true;
  #top = 0;

  constructor(
    private readonly box: HTMLElement,
    private readonly changed: () => void,
  ) {
    box.addEventListener("scroll", () => this.#onScroll(), { passive: true });
    // The layout may change without a scroll: keyboard, rotation, a taller composer.
    new ResizeObserver(() => this.isPinnedToEnd && this.scrollToEnd()).observe(box);
  }

  /** Call after the content has grown. */
  contentChanged(): void {
    if (this.isPinnedToEnd) this.scrollToEnd();
  }

  scrollToEnd(): void {
    const news = !this.isPinnedToEnd;
    this.isPinnedToEnd = true;
    this.box.scrollTop = this.box.scrollHeight;
    this.#top = this.box.scrollTop;
    if (news) this.changed();
  }

  /** Runs `change`, which adds content above, without moving what the visitor looks at. */
  keepPlace(anchor: Element | null, change: () => void): void {
    if (this.isPinnedToEnd || !anchor) {
      change();
      return this.contentChanged();
    }
    const before = anchor.getBoundingClientRect().top;
    this.box.style.setProperty("overflow-anchor", "none");
    change();
    this.box.scrollTop += anchor.getBoundingClientRect().top - before;
    requestAnimationFrame(() => this.box.style.removeProperty("overflow-anchor"));
  }

  #onScroll(): void {
    const { scrollTop, scrollHeight, clientHeight } = this.box;
    const near = scrollHeight - scrollTop - clientHeight < NEAR_END_PX;
    // Growing content leaves the end out of sight too; only a move upwards is the visitor's.
    const following = near || (this.isPinnedToEnd && scrollTop >= this.#top - 2);
    this.#top = scrollTop;
    if (following !== this.isPinnedToEnd) {
      this.isPinnedToEnd = following;
      this.changed();
    }
  }
}
