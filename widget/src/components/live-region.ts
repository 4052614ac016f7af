/** Has a screen reader read an answer once, in sentences, at a pace that can be listened to. */

/** Least milliseconds between two announcements, and least growth steps of the text between them. */
const MIN_PAUSE_MS = 1200;
const MIN_UPDATES = 2;
const MAX_LINES = 4;
const SENTENCE_END = /[.!?…؟۔。！？:](?=["'”’)\]*_]*\s)|\n/g;

export class LiveRegionAnnouncer {
  #turn = "";
  #spokenLength = 0;
  #updates = 0;
  #lastSpokenAt = 0;
  #text = "";
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `region` is the polite live region; `now` and `later` are parameters so that tests need not wait. */
  constructor(
    private readonly region: HTMLElement,
    private readonly now: () => number = () => performance.now(),
    private readonly schedule: (run: () => void, ms: number) => ReturnType<typeof setTimeout> = (
      run,
      ms,
    ) => setTimeout(run, ms),
  ) {}

  /** The text of a running answer so far. */
  update(turn: string, text: string): void {
    if (turn !== this.#turn) this.#begin(turn);
    if (text === this.#text) return;
    this.#text = text;
    this.#updates++;
    this.#flushSentences();
  }

  /** The answer is done: what has not been said yet is said now. */
  finish(text: string): void {
    clearTimeout(this.#timer);
    if (!this.#turn) return;
    const known = text.startsWith(this.#text.slice(0, this.#spokenLength));
    this.#append(known ? text.slice(this.#spokenLength) : "");
    this.#turn = "";
  }

  /** A message that came whole. */
  announce(text: string): void {
    this.#append(text);
  }

  #begin(turn: string): void {
    clearTimeout(this.#timer);
    this.#turn = turn;
    this.#spokenLength = 0;
    this.#updates = 0;
    this.#text = "";
    this.#lastSpokenAt = this.now() - MIN_PAUSE_MS / 2;
  }

  #flushSentences(): void {
    const rest = this.#text.slice(this.#spokenLength);
    let end = 0;
    for (const match of rest.matchAll(SENTENCE_END)) end = match.index + match[0].length;
    if (!end || this.#updates < MIN_UPDATES || rest.slice(0, end).trim().split(/\s+/).length < 3)
      return;
    const wait = this.#lastSpokenAt + MIN_PAUSE_MS - this.now();
    if (wait > 0) {
      clearTimeout(this.#timer);
      this.#timer = this.schedule(() => this.#flushSentences(), wait);
      return;
    }
    this.#append(rest.slice(0, end));
    this.#spokenLength += end;
  }

  #append(markdown: string): void {
    const words = toSpeechText(markdown);
    this.#updates = 0;
    this.#lastSpokenAt = this.now();
    if (!words) return;
    const line = document.createElement("div");
    line.textContent = words;
    this.region.append(line);
    while (this.region.childElementCount > MAX_LINES) this.region.firstElementChild!.remove();
  }
}

/** Markdown as it would be read aloud: without its marks, link targets and source numbers. */
export function toSpeechText(markdown: string): string {
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
