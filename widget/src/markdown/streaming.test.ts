/** What a chat asks of Markdown beyond the specification: other scripts, calm while an answer comes in, and nothing rebuilt. */
import { describe, expect, it } from "vitest";
import { lex } from "./lexer";
import { MarkdownView } from "./streaming";
import { pages, renderContext, shown } from "../../test/markdown";

const sources = pages(2);

function streaming(): { element: HTMLElement; view: MarkdownView } {
  const element = document.createElement("div");
  return { element, view: new MarkdownView(element, renderContext({ live: true })) };
}

/** What stands on the screen after each character of an answer. */
function frames<T>(text: string, look: (element: HTMLElement) => T): T[] {
  const { element, view } = streaming();
  return [...text].map((_, i, all) => {
    view.update(all.slice(0, i + 1).join(""));
    return look(element);
  });
}

const html = (text: string): string =>
  shown(text).innerHTML.replace(/ (?:dir|target|rel|class|part)="[^"]*"/g, "");

describe("emphasis beside Chinese, Japanese and Korean text", () => {
  it.each([
    ["これは**「重要」**です。", "これは<strong>「重要」</strong>です。"],
    ["**注意：**本文", "<strong>注意：</strong>本文"],
    [
      "请看**《手册》**和**（附录）**。",
      "请看<strong>《手册》</strong>和<strong>（附录）</strong>。",
    ],
    ["**한국어(Korean)**는", "<strong>한국어(Korean)</strong>는"],
    ["中文*强调。*后面", "中文<em>强调。</em>后面"],
    ["これは***「両方」***です", "これは<em><strong>「両方」</strong></em>です"],
    ["価格は2 * 3 * 4です", "価格は2 * 3 * 4です"],
    [
      "**粗体**和`**`与[**链接**](https://a.example/)",
      '<strong>粗体</strong>和<code>**</code>与<a href="https://a.example/"><strong>链接</strong></a>',
    ],
  ])("%s", (text, expected) => expect(html(text)).toBe(`<p>${expected}</p>`));
});

describe("tildes, line breaks and bare addresses", () => {
  it.each(["3~5天,价格100~200元", "age(1~3), height(80~100)", "H~2~O", "~a~ ~~~b~~~ x~~ y"])(
    "a single tilde never strikes: %s",
    (text) => {
      expect(shown(text).querySelector("del")).toBe(null);
      expect(shown(text).textContent).toBe(text);
    },
  );

  it("double tildes strike", () =>
    expect(html("~~gone~~ and 1~2")).toBe("<p><del>gone</del> and 1~2</p>"));

  it("<br> is a line break in paragraphs, lists and cells; other markup is text", () => {
    expect(html("a<br>b<BR/>c<br />d<b>e</b>")).toBe("<p>a<br>b<br>c<br>d&lt;b&gt;e&lt;/b&gt;</p>");
    expect(html("- a<br>b")).toBe("<ul><li>a<br>b</li></ul>");
    expect(shown("| a |\n|---|\n| b<br>c |").querySelector("td")!.innerHTML).toBe("b<br>c");
    expect(html("`<br>`")).toBe("<p><code>&lt;br&gt;</code></p>");
  });

  it.each([
    ["请访问 https://example.com/docs。然后继续", "https://example.com/docs"],
    ["请访问https://example.com/docs，然后继续", "https://example.com/docs"],
    ["（https://example.com/docs）", "https://example.com/docs"],
    ["「https://example.com/docs」を参照", "https://example.com/docs"],
    ["देखें https://example.com/docs। फिर", "https://example.com/docs"],
    ["انظر https://example.com/docs؟ ثم", "https://example.com/docs"],
    ["See https://example.com/a_(b). Then", "https://example.com/a_(b)"],
    ["(see https://example.com/docs)", "https://example.com/docs"],
    ["https://zh.wikipedia.org/wiki/可可·香奈儿 等", "https://zh.wikipedia.org/wiki/可可·香奈儿"],
    ["https://example.com/?a=1&b=2&copy; x", "https://example.com/?a=1&b=2"],
    ["at www.example.com/x!", "https://www.example.com/x"],
    ["mail me@example.com.", "mailto:me@example.com"],
    ["邮件 me@example.com。", "mailto:me@example.com"],
  ])("an address ends where its sentence does: %s", (text, href) => {
    const links = [...shown(text).querySelectorAll("a")].map((link) =>
      decodeURI(link.getAttribute("href")!),
    );
    expect(links).toEqual([href]);
  });

  it("GitHub's tables, task boxes and bare addresses are shown", () => {
    const element = shown(
      "| a | b |\n|:-:|--:|\n| https://a.example | ~~c~~ |\n\n- [x] done\n- [ ] open",
    );
    expect([...element.querySelectorAll("td")].map((cell) => cell.style.textAlign)).toEqual([
      "center",
      "right",
    ]);
    expect([...element.querySelectorAll("td > *")].map(({ localName }) => localName)).toEqual([
      "a",
      "del",
    ]);
    expect(
      [...element.querySelectorAll("li.task > [role=img]")].map((box) =>
        box.getAttribute("aria-label"),
      ),
    ).toEqual(["task.done", "task.open"]);
  });
});

const ANSWER = `Intro [1] with a [link](https://a.example/).

\`\`\`ts
const x = 1;
\`\`\`

- one [2]
- two

Last words.
`;

describe("an answer that comes in", () => {
  it("keeps every node when it ends, but for the numbers that become links", () => {
    const { element, view } = streaming();
    for (let end = 1; end <= ANSWER.length; end++) view.update(ANSWER.slice(0, end));
    const before = [...element.querySelectorAll("*")].filter((node) => !node.matches(".chip"));
    const texts = [...element.childNodes].map((block) => block.lastChild);
    view.finish(ANSWER, renderContext({ citations: sources }));
    const after = [...element.querySelectorAll("*")].filter((node) => !node.matches(".chip"));
    expect(after.map((node) => before.indexOf(node))).toEqual(before.map((_, i) => i));
    expect([...element.childNodes].every((block, i) => block.lastChild === texts[i])).toBe(true);
    expect(
      [...element.querySelectorAll("a.chip")].map((chip) => chip.getAttribute("href")),
    ).toEqual(sources.map(({ url }) => url));
    expect(element.innerHTML).toBe(shown(ANSWER, { citations: sources }).innerHTML);
  });

  it("leaves a code block and its button alone while the code grows", () => {
    const { element, view } = streaming();
    view.update("- item\n\n  ```js\n  let a");
    const button = element.querySelector("button");
    view.update("- item\n\n  ```js\n  let a = 1;\n  let b");
    view.update("- item\n\n  ```js\n  let a = 1;\n  let b = 2;\n  ```\n- next");
    expect(element.querySelector("button")).toBe(button);
    expect(element.querySelector("pre")!.textContent).toBe("let a = 1;\nlet b = 2;");
  });

  it("makes no block anew that has ended", () => {
    const { element, view } = streaming();
    view.update("One.\n\n- a\n- b\n\nTwo.\n\nThree");
    const blocks = [...element.children];
    view.update("One.\n\n- a\n- b\n\nTwo.\n\nThree more.\n\n| a |\n|---|\n| b |\n\nFour");
    expect(blocks.map((block, i) => element.children[i] === block)).toEqual([
      true,
      true,
      true,
      true,
    ]);
    expect(element.children.length).toBe(6);
  });

  it("keeps the nodes of a long paragraph, list, table and code block while they grow, and when they end", () => {
    const long = {
      paragraph: "Words with **bold** and `code` and [1] that go on and on. ".repeat(60),
      list: Array.from({ length: 40 }, (_, i) => `- item ${i} with **bold**\n`).join(""),
      loose: Array.from({ length: 40 }, (_, i) => `${i + 1}. item ${i}\n\n   more\n\n`).join(""),
      table:
        "| a | b |\n|---|---|\n" +
        Array.from({ length: 40 }, (_, i) => `| ${i} | \`x\` |\n`).join(""),
      code:
        "```js\n" +
        Array.from({ length: 60 }, (_, i) => `let a${i} = ${i};\n\n`).join("") +
        "```\n",
    };
    for (const [name, text] of Object.entries(long)) {
      const { element, view } = streaming();
      const half = text.slice(0, text.length / 2);
      for (let end = 7; end < half.length; end += 7) view.update(half.slice(0, end));
      const nodes = [...element.querySelectorAll("*")].slice(0, -12);
      for (let end = half.length; end < text.length; end += 7) view.update(text.slice(0, end));
      view.update(text);
      view.finish(text, renderContext({ citations: sources }));
      const kept = nodes
        .filter((node) => !node.matches(".chip"))
        .map((node) => element.contains(node));
      expect(kept.every(Boolean), name).toBe(true);
      expect(element.innerHTML, name).toBe(shown(text, { citations: sources }).innerHTML);
    }
  }, 40_000);

  it("makes few nodes for each word, however long the answer is", () => {
    const made = (words: number, text: (i: number) => string): number => {
      const { view } = streaming();
      let answer = "";
      const real = document.createElement;
      let count = 0;
      document.createElement = ((...given: Parameters<typeof real>) => (
        count++,
        real.apply(document, given)
      )) as typeof real;
      try {
        for (let i = 0; i < words; i++) view.update((answer += text(i)));
      } finally {
        document.createElement = real;
      }
      return count / words;
    };
    const kinds: Record<string, (i: number) => string> = {
      paragraph: (i) => `w${i} **b** and so `,
      list: (i) => `- item ${i}\n`,
      table: (i) => (i ? `| ${i} | x |\n` : "| a | b |\n|---|---|\n"),
      code: (i) => (i ? `let a${i};\n` : "```\n"),
    };
    for (const [name, text] of Object.entries(kinds))
      expect(made(240, text) / made(120, text), name).toBeLessThan(1.5);
  }, 40_000);

  it("takes an item for the list's, even when its number came in pieces", () => {
    const text = "1. a\n\n2. b\n\n10. c\n";
    const kinds = frames(text, (element) =>
      [...element.children].map(({ localName }) => localName).join(),
    );
    expect(new Set(kinds.slice(kinds.indexOf("ol")))).toEqual(new Set(["ol"]));
  });

  it("shows no raw pipe of a table", () => {
    const texts = frames(
      "Look:\n\n| Name | Size |\n|------|-----:|\n| one | 1 |\n| two | 2 |\n\nDone.",
      (element) => element.textContent,
    );
    expect(texts.filter((text) => text.includes("|"))).toEqual([]);
    expect(texts.at(-1)).toContain("two2");
  });

  it("shows no raw pipe of a table in a quote or a list", () => {
    for (const text of [
      "> | A | B |\n> |---|---|\n> | 1 | 2 |\n\nDone.",
      "- one\n\n  | A | B |\n  |---|---|\n  | 1 | 2 |\n\nDone.",
    ]) {
      const texts = frames(text, (element) => element.textContent);
      expect(
        texts.filter((shown) => shown.includes("|")),
        text,
      ).toEqual([]);
      expect(texts.at(-1)).toContain("12");
    }
  });

  it("shows strong words, code and the words of a link as such from their first letter", () => {
    const text =
      "Some **bold words** and `a[i] = **x**` and [the docs](https://a.example/) [1], **more**.";
    const element = frames(text, (now) => [
      now.textContent,
      now.querySelector("strong")?.textContent ?? "",
      now.querySelector("code")?.textContent ?? "",
    ]);
    const marks = element.filter(([source = "", , code = ""]) =>
      /[*`]|\[(?!1\])|\]\(/.test(source.replace(code, "")),
    );
    expect(marks).toEqual([]);
    const strong = element.map(([, one = ""]) => one).filter(Boolean);
    expect(strong[0]).toBe("b");
    expect(element.at(-1)).toEqual([
      "Some bold words and a[i] = **x** and the docs 1, more.",
      "bold words",
      "a[i] = **x**",
    ]);
  });

  it("takes no sum, list or code for open marks", () => {
    for (const text of ["2 * 3 ** 4 is", "a ** b", "5 * 4 * 3", "x **", "```\n**a `b\n```"]) {
      const element = shown(text);
      const last = frames(text + " ", (now) => now.textContent).at(-1)!;
      expect(last.trim().replace(/\*+$/, "").trim(), text).toBe(
        element.textContent.trim().replace(/\*+$/, "").trim(),
      );
    }
  });

  it("shows a line of text that begins with a pipe once it is known to be no table", () => {
    expect(frames("| alone\nnext line", (element) => element.textContent).at(-1)).toBe(
      "| alone\nnext line",
    );
  });

  it("never makes a heading of a paragraph before a list or a rule", () => {
    for (const text of [
      "Some words\n- item\n",
      "Some words\n\n---\n\nmore",
      "Some words\n* item",
      "Words\n= 3",
    ]) {
      expect(
        frames(text, (element) => element.querySelector("h3, h4")).filter(Boolean),
        text,
      ).toEqual([]);
    }
    expect(
      frames("Setext\n------\n\nx", (element) => element.querySelector("h3")?.textContent).at(-1),
    ).toBe("Setext");
  });

  it("links to no host but the one that is meant", () => {
    const text =
      "See [docs](https://example.com/docs) or https://example.com/a and www.example.com here.";
    const hrefs = frames(text, (element) =>
      [...element.querySelectorAll("a")].map((link) => link.href),
    ).flat();
    expect(new Set(hrefs)).toEqual(
      new Set(["https://example.com/docs", "https://example.com/a", "https://www.example.com/"]),
    );
    expect(
      frames(text, (element) => element.textContent).filter((shown) => shown.includes("](")),
      "raw link",
    ).toEqual([]);
  });

  it("links to an address at the end of its paragraph once the paragraph has ended", () => {
    const { element, view } = streaming();
    view.update("See https://example.com/a");
    expect(element.querySelector("a")).toBe(null);
    view.update("See https://example.com/a\n\n");
    view.update("See https://example.com/a\n\nNext");
    expect(element.querySelector("a")!.href).toBe("https://example.com/a");
  });

  it("leaves code as it is written", () => {
    const texts = frames(
      "```\n| a[1\n- [x](https://e\n```",
      (element) => element.querySelector("pre")?.textContent ?? "",
    );
    expect(texts).toContain("| a[1");
    expect(texts).toContain("| a[1\n- [x](https://e");
    expect(texts.filter((text) => text.includes("`"))).toEqual([]);
  });

  it("that was stopped before its sources came shows no bare number", () => {
    const text = "As said [1], and more [2][3]. Also `a[1]`.";
    expect(shown(text, { cutShort: true }).textContent).toBe("As said, and more. Also a[1].");
    expect(shown(text).textContent).toBe(text.replaceAll("`", ""));
  });
});

describe("the lexer", () => {
  it("gives blocks whose texts add up to the whole", () => {
    const parts = [
      "a\n\n",
      "- x\n  y\n\n",
      "1. x\n",
      "> q\nlazy\n\n",
      "```\nc\n```\n",
      "| a |\n|---|\n| b |\n\n",
      "# h\n",
      "[r]: https://r.example\n\n",
      "\ttab\n",
      "<div>\n",
      "***\n",
    ];
    for (let seed = 1; seed < 300; seed++) {
      let state = seed;
      const text = Array.from(
        { length: 8 },
        () => parts[(state = (state * 48271) % 2147483647) % parts.length],
      ).join("");
      expect(
        lex(text)
          .map(({ raw }) => raw)
          .join("")
          .trimEnd(),
        JSON.stringify(text),
      ).toBe(text.trimEnd());
    }
  });
});
