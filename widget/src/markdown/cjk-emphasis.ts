/**
 * Emphasis beside Chinese, Japanese and Korean text. CommonMark decides by the spaces around a run of stars whether it opens or
 * closes, and these scripts have none: in `これは**「重要」**です` nothing would be bold. As in the amendment that CommonMark's
 * own forum discusses, CJK punctuation counts as a letter here, and a CJK character beside stars as a space would.
 */
const CJK =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Script=Bopomofo}\u3000-\u303f\uff00-\uffef]/u;
const PUNCTUATION = /[\p{P}\p{S}]/u;
const DELIMITER = /[*_~]/;
const RUN = /\*+/g;

const isCjk = (character: string): boolean => CJK.test(character);
const isSpace = (character: string): boolean => !character.trim();
const isPunctuation = (character: string): boolean =>
  PUNCTUATION.test(character) && !isCjk(character);

const characterAt = (text: string, at: number): string => {
  const code = text.codePointAt(at);
  return code === undefined ? "" : String.fromCodePoint(code);
};

/** The character that ends before `at`, two code units long if it is a surrogate pair. */
const characterBefore = (text: string, at: number): string =>
  /.$/su.exec(text.slice(Math.max(0, at - 2), at))?.[0] ?? "";

/** Whether a run may open or close before `next` when `previous` stands on the other side of it. */
const flanks = (previous: string, next: string): boolean =>
  !isSpace(next) &&
  (!isPunctuation(next) || isSpace(previous) || isPunctuation(previous) || isCjk(previous));

/** Whether the run of stars at the start of `src` opens only because of the CJK text beside it. */
export function opensBesideCjk(src: string, before: string): boolean {
  if (src[0] !== "*" || before === "*") return false;
  const next = characterAt(src, /^\*+/.exec(src)![0].length);
  return (isCjk(before) || isCjk(next)) && flanks(before, next);
}

/** Writes letters around the stars that both open and close beside CJK text, so that marked reads them as within a word. */
export function maskCjkEmphasis(masked: string): string {
  if (!CJK.test(masked)) return masked;
  const edits: [start: number, length: number][] = [];
  for (const { 0: run, index } of masked.matchAll(RUN)) {
    const [previous, next] = [
      characterBefore(masked, index),
      characterAt(masked, index + run.length),
    ];
    if (!isCjk(previous) && !isCjk(next)) continue;
    if (!flanks(previous, next) || !flanks(next, previous)) continue;
    if (!DELIMITER.test(previous)) edits.push([index - previous.length, previous.length]);
    if (!DELIMITER.test(next)) edits.push([index + run.length, next.length]);
  }
  return withLetters(masked, edits);
}

/** The text with letters in these places, which stand in their order; one that begins within another is passed over. */
function withLetters(text: string, places: readonly [start: number, length: number][]): string {
  let [result, end] = ["", 0];
  for (const [start, length] of places) {
    if (start < end) continue;
    result += text.slice(end, start) + "a".repeat(length);
    end = start + length;
  }
  return result + text.slice(end);
}
