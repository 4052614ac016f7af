/** Tells a screen reader an answer once, in sentences, at a pace that can be listened to. */

/** Least milliseconds between two announcements, and least growth steps of the text between them. */
const PACE = 1200;
const STEPS = 2;
const KEPT = 4;
const SENTENCE_END = /[.!?…؟۔。！？:](?=["'”’)\]*_]*\s)|\n/g;

export class Announcer {
  private turn = "";
  private said = 0;
  private steps = 0;
  private last = 0;
  private text = "";
  private timer: ReturnType<typeof setTimeout> | undefined;

  /** `region` is the polite live region; `now` and `later` are parameters so that tests need not wait. */
  constructor(
    private readonly region: HTMLElement,
    private readonly now: () => number = () => performance.now(),
    private readonly later: (run: () => void, ms: number) => ReturnType<typeof setTimeout> = (run, ms) => setTimeout(run, ms),
  ) {}

  /** The text of a running answer so far. */
  grow(turn: string, text: string): void {
    if (turn !== this.turn) this.begin(turn);
    if (text === this.text) return;
    this.text = text;
    this.steps++;
    this.tell();
  }

  /** The answer is done: what has not been said yet is said now. */
  finish(text: string): void {
    clearTimeout(this.timer);
    if (!this.turn) return;
    const known = text.startsWith(this.text.slice(0, this.said));
    this.say(known ? text.slice(this.said) : "");
    this.turn = "";
  }

  /** A message that came whole. */
  whole(text: string): void {
    this.say(text);
  }

  private begin(turn: string): void {
    clearTimeout(this.timer);
    this.turn = turn;
    this.said = 0;
    this.steps = 0;
    this.text = "";
    this.last = this.now() - PACE / 2;
  }

  private tell(): void {
    const rest = this.text.slice(this.said);
    let end = 0;
    for (const found of rest.matchAll(SENTENCE_END)) end = found.index + found[0].length;
    if (!end || this.steps < STEPS || rest.slice(0, end).trim().split(/\s+/).length < 3) return;
    const wait = this.last + PACE - this.now();
    if (wait > 0) {
      clearTimeout(this.timer);
      this.timer = this.later(() => this.tell(), wait);
      return;
    }
    this.say(rest.slice(0, end));
    this.said += end;
  }

  private say(markdown: string): void {
    const words = spoken(markdown);
    this.steps = 0;
    this.last = this.now();
    if (!words) return;
    const line = document.createElement("div");
    line.textContent = words;
    this.region.append(line);
    while (this.region.childElementCount > KEPT) this.region.firstElementChild!.remove();
  }
}

/** Markdown as it would be read aloud: without its marks, link targets and source numbers. */
export function spoken(markdown: string): string {
  return markdown
    .replace(/!?\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replace(/\s?\[\d{1,2}\]/g, "")
    .replace(/^[ \t]*(?:`{3,}|~{3,}).*$|^[ \t|:-]+$/gm, "")
    .replace(/^[ \t]*(?:#{1,6}|>|[-+*]|\d+[.)])[ \t]+/gm, "")
    .replace(/[*`~|]+|(?<!\w)_+|_+(?!\w)/g, " ")
    .replace(/\s+([.,;:!?])/g, "$1")
    .replace(/\s+/g, " ")
    .trim();
}
