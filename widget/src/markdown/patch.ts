/** Brings a block on the screen up to date: nodes that are right stay, and with them focus, selection and scroll positions. */

/** How far ahead a node that is right already is looked for when others before it went away. */
const LOOK_AHEAD = 4;

/** Makes `shown` like `fresh`; returns the node that now stands in its place. */
export function patchNode(shown: ChildNode, fresh: ChildNode): ChildNode {
  if (shown instanceof Text && fresh instanceof Text) {
    patchText(shown, fresh.data);
    return shown;
  }
  if (!(shown instanceof HTMLElement && fresh instanceof HTMLElement) || !sameKind(shown, fresh)) {
    shown.replaceWith(fresh);
    return fresh;
  }
  patchAttributes(shown, fresh);
  patchChildren(shown, fresh);
  return shown;
}

/** The style attribute cannot be written under a strict Content-Security-Policy: such an element is made anew. */
const sameKind = (shown: HTMLElement, fresh: HTMLElement): boolean =>
  shown.localName === fresh.localName &&
  shown.getAttribute("style") === fresh.getAttribute("style");

function patchAttributes(shown: HTMLElement, fresh: HTMLElement): void {
  for (const { name } of [...shown.attributes])
    if (!fresh.hasAttribute(name)) shown.removeAttribute(name);
  for (const { name, value } of [...fresh.attributes])
    if (shown.getAttribute(name) !== value) shown.setAttribute(name, value);
}

/** Makes the children of `shown` from place `from` on like those of `fresh`. */
export function patchChildren(shown: HTMLElement, fresh: HTMLElement, from = 0): void {
  let place: ChildNode | null = shown.childNodes[from] ?? null;
  for (const wanted of [...fresh.childNodes]) {
    place = place && skipToEqual(place, wanted);
    if (!place) shown.append(wanted);
    else place = patchNode(place, wanted).nextSibling;
  }
  while (place) {
    const next: ChildNode | null = place.nextSibling;
    place.remove();
    place = next;
  }
}

/** Removes nodes that stand before the one that is wanted; where it is not found near by, nothing. */
function skipToEqual(place: ChildNode, wanted: ChildNode): ChildNode {
  if (place.nodeName === wanted.nodeName) return place;
  let equal: ChildNode | null = place.nextSibling;
  for (let ahead = 1; equal && ahead < LOOK_AHEAD && !equal.isEqualNode(wanted); ahead++)
    equal = equal.nextSibling;
  if (!equal?.isEqualNode(wanted)) return place;
  while (place !== equal) {
    const next: ChildNode = place.nextSibling!;
    place.remove();
    place = next;
  }
  return equal;
}

/** Only what differs is written, from place `from` on: a selection in the rest stays. */
export function patchText(shown: Text, text: string, from = 0): void {
  const old = from ? shown.data.slice(from) : shown.data;
  if (text.startsWith(old)) {
    if (text !== old) shown.appendData(text.slice(old.length));
    return;
  }
  const shorter = Math.min(old.length, text.length);
  let same = 0;
  while (same < shorter && old.charCodeAt(same) === text.charCodeAt(same)) same++;
  shown.replaceData(from + same, old.length - same, text.slice(same));
}
