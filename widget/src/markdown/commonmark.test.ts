/** CommonMark's own examples, GitHub's additions, and what a chat asks beyond them, as they are shown. */
import { createRequire } from "node:module";
import { describe, expect, it } from "vitest";
import { shown } from "../../test/markdown";

interface Example {
  markdown: string;
  html: string;
  section: string;
  number: number;
}
const { tests } = createRequire(import.meta.url)("commonmark-spec") as { tests: Example[] };

/** The specification's links are relative, which no answer's may be: both sides get the same address that may. */
const RELATIVE = /(?<=\]\(\s*<?|\]:\s*<?|href=")(?!https?:|mailto:)\/?[\w-]+/g;

function prepared(example: Example): Example {
  const { markdown, html } = example;
  const meant = new Set([...html.matchAll(/(?<=href=")\/?[\w-]+/g)].map(([path]) => path));
  const change = (text: string): string =>
    text
      .replaceAll("→", "\t")
      .replace(RELATIVE, (path) => (meant.has(path) ? `mailto:${path.replace("/", "")}` : path));
  return { ...example, markdown: change(markdown), html: change(html) };
}

/** A tree as text, without what Baton does otherwise on purpose. */
function outline(node: Node): string {
  if (node instanceof Text) return node.data.replace(/\s+/g, " ");
  if (!(node instanceof HTMLElement)) return "";
  if (node.matches(".code"))
    return `(pre ${JSON.stringify(node.querySelector("pre")!.textContent.replace(/\n$/, ""))})`;
  if (node.localName === "pre")
    return `(pre ${JSON.stringify(node.textContent.replace(/\n$/, ""))})`;
  const inside = [...node.childNodes].map(outline).join("");
  const heading = /^h([1-6])$/.exec(node.localName);
  // Headings begin below the page's; how large they look says which level was meant.
  if (heading)
    return `(h${node.className.slice(1) || Math.min(4, Number(heading[1]))} ${inside.trim()})`;
  if (node.localName === "a") {
    const href = node.getAttribute("href")!;
    // What is no http, https or mailto address stays text.
    // GitHub also makes links of bare addresses, which CommonMark leaves alone.
    const bare = [inside, `mailto:${inside}`].some((one) => address(one) === address(href));
    return /^(https?:\/\/|mailto:)/i.test(href) && !bare
      ? `(a ${address(href)} ${inside})`
      : inside;
  }
  const start = node.getAttribute("start");
  if (node.localName === "code" || node.localName === "em" || node.localName === "strong")
    return `(${node.localName} ${inside})`;
  return `(${node.localName}${start ? ` ${start}` : ""} ${inside.replace(/\s*(\((?:p|ul|ol|li|pre|blockquote|hr|br|h\d)\b)/g, "$1").trim()})`;
}

function address(href: string): string {
  try {
    return decodeURI(new URL(href).href);
  } catch {
    return href;
  }
}

const tree = (element: HTMLElement): string =>
  [...element.childNodes]
    .map(outline)
    .join("")
    .replace(/\s*([()])\s*/g, "$1")
    .replace(/\s+/g, " ")
    .trim();

function expected(html: string): string {
  const element = document.createElement("div");
  element.innerHTML = html
    .replace(/<pre><code[^>]*>/g, "<pre>")
    .replace(/<\/code><\/pre>/g, "</pre>")
    .replace(/<br \/>\n/g, "<br>");
  return tree(element);
}

/** Markup is shown as text and images as links, so examples of these say nothing here. */
const MARKUP = /<img|<(?!\/?(?:p|h[1-6]|ul|ol|li|blockquote|hr|br|strong|em|code|pre|a)\b)/;
const examples = tests
  .map(prepared)
  .filter(
    ({ section, html, markdown }) =>
      !["HTML blocks", "Raw HTML", "Images"].includes(section) &&
      !MARKUP.test(html) &&
      !/<a /.test(markdown),
  );

/** Names of rare characters; blank lines at the end of code in a list; a backslash in an address, which browsers turn. */
const DIFFERENT = [25, 318, 603];

describe("CommonMark's examples", () => {
  it("are shown as the specification says, but for the few that are listed here", () => {
    const wrong = examples.filter(({ markdown, html }) => tree(shown(markdown)) !== expected(html));
    if (process.env["SHOW"])
      for (const one of wrong)
        console.log(
          one.number,
          one.section,
          JSON.stringify(one.markdown),
          "\n",
          tree(shown(one.markdown)),
          "\n",
          expected(one.html),
        );
    expect(examples.length).toBeGreaterThan(540);
    expect(wrong.map(({ number }) => number)).toEqual(DIFFERENT);
  });
});
