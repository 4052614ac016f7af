/** Style sheets made from text when they are first put on: no style attribute and no style element, for a strict CSP. */

const made = new Map<string, CSSStyleSheet>();

/** Marks a template as CSS, for the editor and for the build, which takes out the indentation. */
export const css = String.raw;

export function sheet(text: string): CSSStyleSheet {
  let known = made.get(text);
  if (!known) {
    made.set(text, (known = new CSSStyleSheet()));
    known.replaceSync(text);
  }
  return known;
}
