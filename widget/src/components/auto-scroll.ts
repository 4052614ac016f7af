/** Keeps the newest words in sight, unless the visitor has scrolled up to read. */

const NEAR = 56;

export class Follower {
  /** Whether the end is in sight and is to stay so. */
  following = true;
  private top = 0;

  constructor(private readonly box: HTMLElement, private readonly changed: () => void) {
    box.addEventListener("scroll", () => this.scrolled(), { passive: true });
    // A picture of the layout may change without a scroll: keyboard, rotation, a grown composer.
    new ResizeObserver(() => this.following && this.toEnd()).observe(box);
  }

  /** Call after the content has grown. */
  grown(): void {
    if (this.following) this.toEnd();
  }

  toEnd(): void {
    const news = !this.following;
    this.following = true;
    this.box.scrollTop = this.box.scrollHeight;
    this.top = this.box.scrollTop;
    if (news) this.changed();
  }

  /** Runs `change`, which adds content above, without moving what the visitor looks at. */
  keep(anchor: Element | null, change: () => void): void {
    if (this.following || !anchor) {
      change();
      return this.grown();
    }
    const before = anchor.getBoundingClientRect().top;
    this.box.style.setProperty("overflow-anchor", "none");
    change();
    this.box.scrollTop += anchor.getBoundingClientRect().top - before;
    requestAnimationFrame(() => this.box.style.removeProperty("overflow-anchor"));
  }

  private scrolled(): void {
    const { scrollTop, scrollHeight, clientHeight } = this.box;
    const near = scrollHeight - scrollTop - clientHeight < NEAR;
    // Growing content leaves the end out of sight too; only a move upwards is the visitor's.
    const following = near || (this.following && scrollTop >= this.top - 2);
    this.top = scrollTop;
    if (following !== this.following) {
      this.following = following;
      this.changed();
    }
  }
}
