import { describe, expect, it } from "vitest";
import { MarkdownView } from "./streaming";
import { safeLink } from "../dom";
import { pages, renderContext, shown } from "../../test/markdown";

const sources = pages(3);
const around = () => renderContext({ citations: sources });
const rendered = (text: string) => shown(text, { citations: sources });

function grown(text: string, step: number): HTMLElement {
  const element = document.createElement("div");
  const view = new MarkdownView(element, around());
  for (let end = step; end < text.length + step; end += step) view.update(text.slice(0, end));
  return element;
}

const DOCUMENT = `# Title #

A *word*, a **strong** one, ***both***, ~~gone~~, \`a < b\`, snake_case_name and 2 * 3 * 4.
A soft break, a hard one\\
and a [link](https://a.example/x_(y) "title") [1].

Setext
------

- one
- two
  - deeper

    with a paragraph
- [x] done
- [ ] open

3. three
4. four

> quoted
lazily

| Left | Right |
|:-----|------:|
| a \\| b | \`c\` |
| short |

\`\`\`ts
const x = "<b>";
\`\`\`

---

Bare https://b.example/q?a=1&b=2. and me@c.example, &amp; &lt;done&gt; [9].
`;

describe("Markdown", () => {
  it("makes the elements that GitHub's Markdown means", () => {
    const element = rendered(DOCUMENT);
    const count = (selector: string) => element.querySelectorAll(selector).length;
    expect(element.querySelector("h3")!.textContent).toBe("Title");
    expect(element.querySelector("h4")!.textContent).toBe("Setext");
    expect([count("em"), count("strong"), count("del"), count("br")]).toEqual([2, 2, 1, 1]);
    expect(element.textContent).toContain("snake_case_name and 2 * 3 * 4");
    expect(element.querySelector("code")!.textContent).toBe("a < b");
    expect(element.querySelector<HTMLAnchorElement>("p a")!.href).toBe("https://a.example/x_(y)");
    expect([count("ul"), count("ul ul"), count("li.task"), count(".box.done")]).toEqual([
      2, 1, 2, 1,
    ]);
    expect(element.querySelector("ol")!.getAttribute("start")).toBe("3");
    expect(element.querySelector("blockquote")!.textContent).toBe("quoted\nlazily");
    expect([count("th"), count("td"), count("hr")]).toEqual([2, 4, 1]);
    expect(element.querySelector("td")!.textContent).toBe("a | b");
    expect(element.querySelector("pre code")!.textContent).toBe('const x = "<b>";');
    const last = element.lastElementChild!;
    expect([...last.querySelectorAll("a")].map((a) => a.getAttribute("href"))).toEqual([
      "https://b.example/q?a=1&b=2",
      "mailto:me@c.example",
    ]);
    expect(last.textContent).toContain("& <done> [9]");
  });

  it("shows the same whether a text comes whole or in pieces of any size", () => {
    const expected = rendered(DOCUMENT).innerHTML;
    for (const step of [1, 2, 3, 5, 8, 13, 50])
      expect(grown(DOCUMENT, step).innerHTML, `step ${step}`).toBe(expected);
  });

  it("shows a very long paragraph the same, although most of it is read only once", () => {
    const text =
      "A **bold** word, `code`, snake_case, a [link](https://a.example/) and [1]; *more of it*\nin the next line. ".repeat(
        9,
      );
    const odd = "2 * 3, then a _word and `half a code, [half a link. ".repeat(5);
    for (const one of [text, odd, text + odd, odd + text, `**${text}**`]) {
      for (const step of [13, 40])
        expect(grown(one, step).innerHTML, `step ${step}`).toBe(rendered(one).innerHTML);
    }
  });

  it("leaves finished blocks alone while the last one grows", () => {
    const element = document.createElement("div");
    const view = new MarkdownView(element, around());
    view.update("First.\n\nSecond");
    const first = element.firstElementChild;
    view.update("First.\n\nSecond one.\n\n- a\n- b");
    const item = element.querySelector("li");
    view.update("First.\n\nSecond one.\n\n- a\n- b\n- c");
    expect(element.firstElementChild).toBe(first);
    expect(element.querySelector("li")).toBe(item);
    expect(element.querySelectorAll("li").length).toBe(3);
  });

  it("turns a number that answers to a source into a chip that opens it, and leaves the others as they are", () => {
    const element = rendered("As said [2][3], but not [7].");
    const chips = [...element.querySelectorAll<HTMLAnchorElement>("a.chip")];
    expect(chips.map((chip) => [chip.textContent, chip.href])).toEqual([
      ["2", "https://docs.example/2"],
      ["3", "https://docs.example/3"],
    ]);
    expect(element.textContent).toBe("As said 23, but not [7].");
    for (const chip of chips)
      expect([chip.target, chip.rel]).toEqual(["_blank", "noopener noreferrer nofollow"]);
  });

  it("resolves references, also those defined below", () => {
    expect(
      rendered("[the page][p] and [p].\n\n[P]: https://p.example/").querySelectorAll("a").length,
    ).toBe(2);
  });

  it("never goes back over a level of headings", () => {
    const levels = [...rendered("### a\n\n##### b\n\n# c\n\n###### d").children].map(
      (h) => h.tagName,
    );
    expect(levels).toEqual(["H3", "H4", "H3", "H4"]);
  });
});

const HOSTILE = [
  "<script>alert(1)</script>",
  "<img src=x onerror=alert(1)>",
  "<svg/onload=alert(1)>",
  "<iframe src='https://evil.example'></iframe>",
  "[x](javascript:alert(1))",
  "[x](JaVaScRiPt:alert(1))",
  "[x](java\tscript:alert(1))",
  "[x](&#106;avascript:alert(1))",
  "[x](\u0001javascript:alert(1))",
  "[x](data:text/html,<script>alert(1)</script>)",
  "[x](vbscript:x)",
  "[x](//evil.example)",
  "[x](file:///etc/passwd)",
  "[x](blob:https://a/b)",
  "<javascript:alert(1)>",
  "[x]: javascript:alert(1)\n\n[x]",
  "![x](https://evil.example/p.png)",
  "![](https://evil.example/p.png)",
  "![x][i]\n\n[i]: https://evil.example/p.png",
  "[![x](https://evil.example/p.png)](javascript:alert(1))",
  '[x](https://a.example "onmouseover=alert(1)")',
  "\u202etxt.exe\u202c and \u2066x",
  "```html\n<script>alert(1)</script>\n```",
  "| <img src=x onerror=alert(1)> |\n|---|\n| [x](javascript:a) |",
  "[a](mailto:x@y.example?body=<script>)",
  "[__proto__](https://a.example) &constructor; &toString;",
];
const ALLOWED = new Set(
  "P,H3,H4,H5,H6,UL,OL,LI,BLOCKQUOTE,HR,BR,STRONG,EM,DEL,CODE,PRE,A,TABLE,THEAD,TBODY,TR,TH,TD,DIV,SPAN,BUTTON".split(
    ",",
  ),
);

describe("hostile Markdown", () => {
  it("yields nothing but harmless elements, attributes and links, whole and in single characters", () => {
    for (const text of HOSTILE) {
      for (const element of [rendered(text), grown(text, 1)]) {
        for (const node of element.querySelectorAll("*")) {
          expect(ALLOWED.has(node.tagName), `${node.tagName} from ${text}`).toBe(true);
          for (const { name } of [...node.attributes])
            expect(/^on|^src|^srcset|^style$/.test(name), `${name} from ${text}`).toBe(false);
          if (node.tagName === "A")
            expect(node.getAttribute("href")).toMatch(/^(https?:\/\/|mailto:)/);
        }
      }
    }
  });

  it("lets through only absolute http, https and mailto links", () => {
    expect(safeLink("https://a.example/b")).toBe("https://a.example/b");
    expect(safeLink("mailto:a@b.example")).toBe("mailto:a@b.example");
    for (const link of [
      "javascript:x",
      " javascript:x",
      "java\nscript:x",
      "//a.example",
      "/a",
      "#a",
      "data:,x",
      "ftp://a",
      "mailto://a",
      "http://",
    ]) {
      expect(safeLink(link), link).toBe(null);
    }
  });

  it("ends with a result for text made to exhaust a parser", () => {
    const texts = [
      "[".repeat(20_000),
      ">".repeat(20_000),
      "*a ".repeat(10_000),
      "![".repeat(10_000),
      "[a](b".repeat(5000),
      "`a``b".repeat(5000),
      `${"|a".repeat(3000)}\n${"|-".repeat(3000)}\n${"x\n".repeat(2000)}`,
      "- ".repeat(10_000),
      `# a${" ".repeat(20_000)}b`,
      "_a".repeat(10_000),
    ];
    for (const text of texts) expect(rendered(text).childElementCount).toBeGreaterThan(0);
  });

  it("gives lists, quotes and tables the direction of their first letter, also while they grow", () => {
    const arabic =
      "- **مرحبا** بكم\n- API\n\n1. واحد\n2. اثنان\n\n> قال\n\n| الاسم | API |\n|---|---|\n| أ | b |\n";
    for (const element of [rendered(arabic), grown(arabic, 1)]) {
      for (const name of ["ul", "ol", "blockquote", ".table"])
        expect(element.querySelector<HTMLElement>(name)!.dir, name).toBe("rtl");
    }
    const english = rendered(
      "- *Hello*\n\n1. مرحبا\n\n> 1. One\n\n| 1 | Name |\n|---|---|\n| 2 | أ |\n",
    );
    for (const [name, dir] of [
      ["ul", "ltr"],
      ["ol", "rtl"],
      ["blockquote", "ltr"],
      ["blockquote ol", "ltr"],
      [".table", "ltr"],
    ]) {
      expect(english.querySelector<HTMLElement>(name!)!.dir, name).toBe(dir);
    }
    expect(rendered("- 1\n- 2").querySelector("ul")!.hasAttribute("dir")).toBe(false);
  });
});
