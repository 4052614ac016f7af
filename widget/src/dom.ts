/** Small makers of DOM nodes, and the one rule on which links may be clicked. */

export type Child = Node | string;

export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Record<string, string> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  // One by one: Chromium's append() of many nodes at once takes time that grows with the square of their number.
  for (const child of children) element.append(child);
  return element;
}

/** The link as it may stand in `href`: http, https or mailto, absolute; null for everything else. */
export function safeLink(href: string): string | null {
  const clean = href.replace(/[\0-\x20\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]/g, "");
  if (!/^(?:https?:\/\/|mailto:[^/])/i.test(clean)) return null;
  try {
    const url = new URL(clean);
    return /^(?:https?|mailto):$/.test(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

/** A link that opens a new tab and sends no referrer. */
export function externalLink(
  href: string,
  attributes: Record<string, string>,
  ...children: Child[]
): HTMLAnchorElement {
  return h(
    "a",
    { href, target: "_blank", rel: "noopener noreferrer nofollow", ...attributes },
    ...children,
  );
}

/** Copies, and says which it was: done or not allowed. */
export async function copy(
  text: string,
  around: { copied(): void; failed(): void },
): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    around.copied();
  } catch {
    around.failed();
  }
}
