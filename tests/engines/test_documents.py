"""What is read of the knowledge folders: every dialect, front matter, anchors, links, and what stays private."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from app.engines.knowledge.documents import Block, Document, page_url
from app.engines.knowledge.markdown_parser import parse
from app.engines.knowledge.reader import Folder, front_matter, parse_source, read_folder
from app.web.markdown import render

BASE = "https://docs.example/help"
RAW = re.compile(
    r":::|!!!|\?\?\?|===|///|\{\{|\{%|\{:|\{#|\{\.|\[\[|\]\]|\[\^|\^\[|<!--|\{/\*|%%|\[!|--8<--|\[TOC\]|\+\+\+"
    r"|<[A-Za-z/]|^import |^export |\^block|[\ue000-\ue003]",
    re.MULTILINE,
)
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes pages below a folder, by name."""

    def pages(texts: dict[str, str], below: str = "pages") -> Path:
        for name, text in texts.items():
            file = tmp_path / below / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")
        return tmp_path / below

    return pages


def read(folder: Path) -> dict[str, Document]:
    """The documents of a folder by path."""
    return {document.path: document for document in read_folder([folder], BASE).documents()}


def blocks(text: str, name: str = "page.md", write: Write | None = None) -> list[Block]:
    """All blocks of a page."""
    assert write is not None
    (document,) = read(write({name: text})).values()
    return [block for section in document.sections for block in section.blocks]


def shown(document: Document, folder: Folder) -> str:
    """The page's HTML on /knowledge."""
    page = next(page for _, page in folder.pages if page.path == document.path)
    rendered = render(parse_source(document.source, page, folder.links))
    return rendered.opening + rendered.html


BOXES = {
    "mkdocs": '!!! warning "Careful"\n    The oven is hot.\n',
    "mkdocs, folded": '???+ warning "Careful"\n\n    The oven is hot.\n',
    "mkdocs, in a list": '1. Bake\n\n    !!! warning "Careful"\n\n        The oven is hot.\n',
    "mkdocs, a tab": '=== "Careful"\n\n    The oven is hot.\n',
    "docusaurus": ":::warning[Careful]\n\nThe oven is hot.\n\n:::\n",
    "docusaurus, old": ":::warning Careful\nThe oven is hot.\n:::\n",
    "docusaurus, nested": "::::info Careful\n:::tip\nThe oven is hot.\n:::\n::::\n",
    "docusaurus, in a list": "- Bake\n\n  :::warning[Careful]\nThe oven is hot.\n:::\n",
    "quarto": '::: {.callout-warning title="Careful"}\nThe oven is hot.\n:::\n',
    "vitepress": "::: details Careful\nThe oven is hot.\n:::\n",
    "pymdown blocks": "/// warning | Careful\n    open: True\n\nThe oven is hot.\n///\n",
    "myst": "```{warning} Careful\n:class: dropdown\nThe oven is hot.\n```\n",
    "myst, colons": ":::{admonition} Careful\n:class: tip\nThe oven is hot.\n:::\n",
    "obsidian": "> [!warning]- Careful\n> The oven is hot.\n",
    "github": "> [!WARNING]\n> **Careful** The oven is hot.\n",
    "gitbook": '{% hint style="warning" %}\n**Careful** The oven is hot.\n{% endhint %}\n',
    "hugo": '{{< alert title="Careful" >}}\nThe oven is hot.\n{{< /alert >}}\n',
    "hugo, percent": "{{% notice warning %}}\nCareful: The oven is hot.\n{{% /notice %}}\n",
    "mdx": '<Admonition type="warning" title="Careful">\n    The oven is hot.\n</Admonition>\n',
    "mdx tabs": '<Tabs>\n    <TabItem value="a" label="Careful">\n\n    The oven is hot.\n\n    </TabItem>\n</Tabs>\n',
    "html": "<details>\n<summary>Careful</summary>\n\nThe oven is hot.\n\n</details>\n",
}


@pytest.mark.parametrize("dialect", BOXES)
def test_d1_the_body_of_a_box_is_prose_under_its_title(dialect: str, write: Write) -> None:
    """D1: whatever the dialect, title and body are words of the page, the body is no code, and no mark is left."""
    folder = read_folder([write({"page.md": f"# Oven\n\nBefore.\n\n{BOXES[dialect]}\nAfter.\n"})], BASE)
    (document,) = folder.documents()
    found = [block for section in document.sections for block in section.blocks]
    text = "\n".join(block.text for block in found)
    for words in ("Before.", "Careful", "The oven is hot.", "After."):
        assert text.count(words) == 1
    assert not [block for block in found if block.kind == "code"]
    html = shown(document, folder)
    assert "The oven is hot." in html
    assert "<pre" not in html
    for seen in (text, "\n".join(block.markdown for block in found), re.sub(r"<[^>]*>", "", html)):
        assert not RAW.search(seen), seen
    assert document.sections[-1].text.endswith("After.")


MARKS = {
    "wikilink": ("See [[Other page|the other]] page.", "See the other page."),
    "wikilink to a heading": ("See [[Other#Part]].", "See Other › Part."),
    "embedded picture": ("A ![[map.svg]] b", "A b"),
    "block id": ("A sentence. ^block-id", "A sentence."),
    "footnote": ("A claim.[^1]\n\n[^1]: A note.", "A claim.\nA note."),
    "footnote of nobody": ("A claim.[^none]", "A claim."),
    "definition": ("Term\n: What it means", "Term: What it means"),
    "attributes of a link": ("[x](https://a.example){:target=_blank} y", "x y"),
    "attributes of a paragraph": ("Text\n{: .class #id }", "Text"),
    "classes": ("`a`{.python} b", "a b"),
    "imports": ("import Tabs from '@theme/Tabs';\nimport {\n  A,\n} from \"./a\";\n\nText", "Text"),
    "exports": ("export const meta = {\n  a: 1,\n};\n\nText", "Text"),
    "component": ("<Button to={{a: 1}} onClick={() => go()} />\n\nText <Icon name='x' /> b", "Text b"),
    "jsx comment": ("A {/* hidden */} b", "A b"),
    "jsx string": ("A{' '}b", "A b"),
    "table of contents": ("[TOC]\n\n[[toc]]\n\nText", "Text"),
    "snippet": ('--8<-- "file.md"\n\nText', "Text"),
    "shortcode": ('A {{< icon "x" >}} b {% include a.html %} c {{ site.title }}', "A b c"),
    "role": ("See {ref}`the page <target>` and {term}`Oven`.", "See the page and Oven."),
    "target": ("(target)=\n\nText", "Text"),
    "icons": (":material-check: Done :smile:", "Done"),
    "highlight": ("A ==marked== word", "A marked word"),
    "keys": ("Press ++ctrl+c++ now", "Press ctrl+c now"),
    "critic": ("A {++new++}{--old--} word{>>why<<}", "A new word"),
    "abbreviation": ("*[HTML]: Hyper Text\n\nThe HTML", "The HTML"),
    "html": ("<div align='center'>\n\n**Bold** <kbd>K</kbd><br/>next\n\n</div>", "Bold K next"),
    "html table": ("<table><tr><td>A</td><td>B</td></tr></table>", "A B"),
    "html picture": ('<img src="x.png" alt="A map"> b', "A map b"),
    "script": ("A\n\n<script>\nvar a = 1;\n</script>\n\nB", "A\nB"),
}


@pytest.mark.parametrize("name", MARKS)
def test_d6_marks_are_understood_or_gone(name: str, write: Write) -> None:
    """D6: no mark of a dialect is in the text, the Markdown or the page; the words around it are."""
    source, expected = MARKS[name]
    folder = read_folder([write({"page.md": source})], BASE)
    (document,) = folder.documents()
    found = [block for section in document.sections for block in section.blocks]
    assert "\n".join(block.text for block in found) == expected
    html = re.sub(r"<[^>]*>", "", shown(document, folder))
    for seen in (expected, "\n".join(block.markdown for block in found), html):
        assert not RAW.search(seen), seen


@pytest.mark.parametrize(
    "code",
    [
        "```html\n<Tabs> {{< x >}} <!-- shown --> [[a]]\n```",
        "~~~\nimport x from 'y'\n:::note\n%%shown%%\n~~~",
        "Run `<Tabs> {% x %} <!-- shown --> {: .a}` now",
        "Indented:\n\n    <b>shown</b> {{ x }}\n",
        "1. One\n\n    ```md\n    !!! note\n        shown\n    ```",
        "<pre><code>&lt;b&gt; shown `x`\n  two</code></pre>",
    ],
)
def test_d6_code_stays_as_it_is_written(code: str, write: Write) -> None:
    """D6: what is code shows marks of dialects, since it is about them."""
    text = "\n".join(block.text for block in blocks(code, write=write))
    for line in re.sub(r"</?(?:pre|code)>|~~~|```\w*", "", code).replace("&lt;", "<").replace("&gt;", ">").split("\n"):
        for words in line.replace("`", " ").split():
            assert words in text.replace("`", " ") or words == "1."


@pytest.mark.parametrize(
    "marks",
    [
        ('{{< highlight html "linenos=table" >}}', "{{< /highlight >}}"),
        ("{{% highlight html %}}", "{{% /highlight %}}"),
        ("{% highlight html %}", "{% endhighlight %}"),
    ],
)
def test_d6_highlighted_code_is_code(marks: tuple[str, str], write: Write) -> None:
    """D6: what stands between Hugo's or Jekyll's marks for code is code as it is written; the marks are gone."""
    code = "<b>shown</b> {{ x }} :::note"
    found = blocks(f"Before.\n\n{marks[0]}\n{code}\n{marks[1]}\n\nAfter.", write=write)
    assert [(block.kind, block.text) for block in found] == [
        ("paragraph", "Before."),
        ("code", code),
        ("paragraph", "After."),
    ]


ANCHORS = """# Refund policy {#refunds}
## Terms <a id="the-terms"></a>
## Note
## Note
## Größe & Länge
## 返品
## ???
## `code` *and* [link](x.md)
<h2 id="html">In HTML</h2>

!!! note

    ### In a box

- ## In a list
> ## In a quote

Setext {#under}
===
"""


def test_d2_every_anchor_is_on_its_page_once(write: Write) -> None:
    """D2: one function makes the anchors of citations and of the page: explicit, doubled, non-ASCII, empty, nested."""
    folder = read_folder([write({"page.md": ANCHORS})], BASE)
    (document,) = folder.documents()
    cited = [section.anchor for section in document.sections if section.anchor is not None]
    assert cited == [
        "refunds", "the-terms", "note", "note-1", "größe--länge", "返品", "section", "code-and-link", "html",
        "in-a-box", "in-a-list", "in-a-quote", "under",
    ]  # fmt: skip
    ids = re.findall(r' id="([^"]*)"', shown(document, folder))
    assert sorted(ids) == sorted(cited)
    assert [heading.text for heading in document.headings][:2] == ["Refund policy", "Terms"]


@pytest.mark.parametrize(
    "hidden",
    [
        "<!-- zeppelin -->",
        "<!--\n\n```\nzeppelin\n```\n\n## zeppelin\n-->",
        "a %%zeppelin%% b",
        "%%\nzeppelin\n\nzeppelin\n%%",
        "{/* zeppelin\n\nzeppelin */}",
        "- a <!-- zeppelin\n- zeppelin -->",
        "<!-- zeppelin",
        "% zeppelin",
    ],
)
def test_d5_comments_are_private(hidden: str, write: Write) -> None:
    """D5: what is commented out is neither in the text, nor on the page, nor among the headings."""
    folder = read_folder([write({"page.md": f"# Page\n\nSeen.\n\n{hidden}\n"})], BASE)
    (document,) = folder.documents()
    everything = repr(document.sections) + repr(document.headings) + shown(document, folder)
    assert "zeppelin" not in everything
    assert "Seen." in everything


@pytest.mark.parametrize(
    "matter",
    [
        "---\ndraft: true\n---",
        "---\npublish: false\n---",
        "+++\ndraft = true\n+++",
        '{\n"draft": true\n}',
        "---\npublished: no\n---",
        "---\ntitle: A plan: secret\ndraft: true\n---",
        "---\ndraft: yes\ntitle: {{ title }}\n---",
        "---\nauthor: @me\nPublish: False\n---",
        "---\ndate: 2026-13-45\ndraft: 'true'\n---",
        "---\ntags:\n\t- a\ndraft: on\n---",
        f"---\ndraft: true\nnote: {'a' * 70_000}\n---",
        f"---\ndraft: true\nnote: {'[' * 1_001}\n---",
        "---\n- draft: true\n---",
        "---\ndraft: y\n---",
        "+++\ntitle = A plan\ndraft = true\n+++",
        "---\ndraft: true\n...",
        "---\ndraft: true",
        "\n---\ndraft: true\n---",
        " ---\ndraft: true\n---",
    ],
)
def test_d5_drafts_are_no_pages(matter: str, write: Write) -> None:
    """D5: a draft is not read, however its front matter is broken, and a link to it becomes its words."""
    found = read(write({"draft.md": f"{matter}\n\n# Zeppelin\n", "page.md": "# Page\n\nSee [it](draft.md).\n"}))
    assert list(found) == ["page"]
    assert found["page"].sections[0].blocks[0].markdown == "See it."


@pytest.mark.parametrize(
    "matter",
    [
        "---\ntitle: Opening hours\nlang: DE\ntags: [a, b]\nurl: /hours/\n---",
        "---\ntitle: >-\n  Opening\n  hours\nlanguage: de\ntags: a, b\nurl: /hours/\n---",
        '+++\ntitle = "Opening hours"\nlang = "de"\ntags = ["a", "b"]\nurl = "/hours/"\n+++',
        '{\n"title": "Opening hours", "lang": "de",\n"tags": ["a", "b"], "url": "/hours/"\n}',
    ],
)
def test_d7_front_matter_of_three_kinds(matter: str, write: Write) -> None:
    """D7: YAML with folded texts, TOML and JSON give title, language, tags and address, and are not shown."""
    (document,) = read(write({"page.md": f"{matter}\n\nWe open at nine.\n"})).values()
    assert (document.title, document.lang, document.tags) == ("Opening hours", "de", ("a", "b"))
    assert [block.text for block in document.sections[0].blocks] == ["We open at nine."]
    assert page_url(document.path, document.name.url, BASE) == f"{BASE}/hours/"


@pytest.mark.parametrize("url", ["javascript:alert(1)", "//evil.example", "data:x", "../x", "https://a.example/ b"])
def test_d7_an_address_that_may_not_be_followed_is_none(url: str, write: Write) -> None:
    """D7: only http, https and paths are addresses of a page."""
    (document,) = read(write({"page.md": f"---\nurl: '{url}'\n---\n# Page\n"})).values()
    assert document.name.url is None


def test_d7_broken_front_matter_is_named(write: Write) -> None:
    """D7: what cannot be parsed is left out and named; the page is read. A rule at the top is no front matter."""
    folder = read_folder([write({"bad.md": "---\na: [b\n---\n# Bad\n", "rule.md": "---\n\nText\n\n---\n"})], BASE)
    titles = [document.title for document in folder.documents()]
    assert titles == ["Bad", "Rule"]
    assert [problem.sentence for problem in folder.problems] == [
        "The front matter of a page is left out: bad.md: cannot be parsed"
    ]
    assert front_matter("---\n" + "[" * 60_000 + "\n---\nText").problem


LINKS = {
    "other.md": "/guide/other",
    "other": "/guide/other",
    "./other/": "/guide/other",
    "other.html": "/guide/other",
    "Other.MD#Part": "/guide/other#Part",
    "/guide/other": "/guide/other",
    "/docs/guide/other/": "/guide/other",
    "../setup/": "/setup",
    "../setup/README.md#x": "/setup#x",
    "/setup/index": "/setup",
    "first": "/guide/01-first",
    "/custom-slug": "/guide/01-first",
    "with%20space.md": "/guide/with%20space",
    "../index.md": "",
    "nowhere.md": None,
    "../../../etc/passwd": None,
    "picture.png": None,
    "javascript:alert(1)": None,
    "//evil.example/x": None,
    "https://a.example/b?c=d": "https://a.example/b?c=d",
    "mailto:a@b.example": "mailto:a@b.example",
}


@pytest.mark.parametrize("link", LINKS)
def test_d8_links_lead_to_pages_in_any_spelling(link: str, write: Write) -> None:
    """D8: with or without ending, slash, index, order number or slug; where nothing is, the words stay."""
    folder = read_folder(
        [
            write(
                {
                    "index.md": "# Start",
                    "guide/page.md": f"[words](<{link}>)",
                    "guide/other.md": "# Other",
                    "guide/01-first.md": "---\nslug: /custom-slug\n---\n# First",
                    "guide/with space.md": "# Space",
                    "setup/README.md": "# Setup",
                }
            )
        ],
        BASE,
    )
    document = next(one for one in folder.documents() if one.path == "guide/page")
    target = LINKS[link]
    full = target if target is None or ":" in target else BASE + target
    expected = f"[words]({full})" if full is not None else "words"
    assert document.sections[0].blocks[0].markdown == expected


ADDRESSES = {
    "readme": "",
    "README.md": "",
    "index": "",
    "guide/page": "guide/page",
    "guide/page.md": "guide/page",
    "named-here": "guide/page",
    "other/place": "guide/other",
    "stra%C3%9Fe": None,
    "straße": "guide/street",
    "guide/named-here": None,
}


@pytest.mark.parametrize("address", ADDRESSES)
def test_pages_open_at_their_relative_url_and_in_any_spelling(address: str, write: Write) -> None:
    """What a citation links to opens on /knowledge: a relative `url` with and without slash; README is its folder."""
    folder = read_folder(
        [
            write(
                {
                    "README.md": "# Start",
                    "guide/page.md": "---\nurl: named-here\n---\n# Page",
                    "guide/other.md": "---\nurl: /other/place?a=b\n---\n# Other",
                    "guide/street.md": "---\nurl: stra%C3%9Fe\n---\n# Street",
                }
            )
        ],
        BASE,
    )
    assert folder.links.find(address) == ADDRESSES[address]


def test_d8_bare_addresses_and_task_boxes(write: Write) -> None:
    """D8: a bare address is a link, a file's name is none; a task has a box on the page and a sign in the text."""
    text = "See https://a.example/x_y and www.b.example, not main.py.\n\n- [x] done\n- [ ] open\n"
    folder = read_folder([write({"page.md": text})], BASE)
    (document,) = folder.documents()
    html = shown(document, folder)
    assert re.findall(r'href="([^"]*)"', html) == ["https://a.example/x_y", "https://www.b.example"]
    assert (html.count('type="checkbox"'), html.count(" checked ")) == (2, 1)
    assert document.sections[0].blocks[1].items == ("- ☑ done", "- ☐ open")


def test_d9_titles(write: Write) -> None:
    """D9: front matter, else the first level-1 heading, else the file's name made readable; never a lower heading."""
    found = read(
        write(
            {
                "01-first_steps.md": "## General\n\nText",
                "b.md": "## General\n\n# The title\n",
                "c.md": "---\ntitle: Ours\n---\n# Theirs\n",
                "guide/README.md": "Text",
            }
        )
    )
    assert {path: document.title for path, document in found.items()} == {
        "01-first_steps": "First steps",
        "b": "The title",
        "c": "Ours",
        "guide": "Guide",
    }


def test_d11_all_endings_are_read_and_the_rest_is_named(write: Write) -> None:
    """D11: .md, .mdx and .markdown in any case; a file that is no UTF-8 or too large is named, not passed over."""
    folder = write({"a.md": "# A", "b.mdx": "# B {1 + 1}", "c.markdown": "# C", "d.MD": "# D", "e.txt": "# E"})
    (folder / "latin.md").write_bytes("# Käse".encode("latin-1"))
    (folder / "large.md").write_bytes(b"# Large\n" + b"word " * 110_000)
    read_all = read_folder([folder], BASE)
    assert {document.path: document.title for document in read_all.documents()} == {
        "a": "A", "b": "B", "c": "C", "d": "D",
    }  # fmt: skip
    assert {problem.file: problem.reason for problem in read_all.problems} == {
        "latin.md": "not UTF-8",
        "large.md": "larger than 512 KB",
    }


def test_h14_what_is_hidden_ignored_or_outside_is_no_page(write: Write, tmp_path: Path) -> None:
    """H14: hidden files, links to them or out of the folder, and what .batonignore names are left out."""
    folder = write({"a.md": "# A", ".hidden.md": "# H", ".git/g.md": "# G", "old/o.md": "# O", "keep/old/k.md": "# K",
                    "x.md": "# X", ".batonignore": "# a comment\n/old/\nx.md\n"})  # fmt: skip
    write({"outside.md": "# Outside"}, below="elsewhere")
    (folder / "one.md").symlink_to(folder / ".hidden.md")
    (folder / "two.md").symlink_to(tmp_path / "elsewhere" / "outside.md")
    (folder / "three.md").symlink_to(folder / "a.md")
    assert sorted(read(folder)) == ["a", "keep/old/k", "three"]


def test_several_folders_keep_their_paths_apart(write: Write) -> None:
    """Paths stay as they are; where a later folder has the same one, its page is below that folder's name."""
    first = write({"index.md": "# Start", "hours.md": "# Hours"}, below="shop")
    second = write({"index.md": "# FAQ", "hours.md": "# More hours", "x.md": "[a](hours.md)"}, below="faq")
    folder = read_folder([first, second], BASE)
    documents = {document.path: document for document in folder.documents()}
    assert {path: document.title for path, document in documents.items()} == {
        "": "Start", "hours": "Hours", "faq": "FAQ", "faq/hours": "More hours", "x": "X",
    }  # fmt: skip
    assert documents["x"].sections[0].blocks[0].markdown == f"[a]({BASE}/faq/hours)"


def test_blocks_of_a_page(write: Write) -> None:
    """Each block has a kind, plain text, Markdown, and its items or rows by themselves."""
    text = (
        "# Page\n\nA *word* with [1] and `c|d`.\n\n1. one\n   - deep\n2. two\n\n"
        "| A | B |\n|---|--:|\n| x | `y\\|` |\n| z | |\n\n"
        "```sh\nrun\n```\n\n> said\n\n## Part\n\n### Deep\n\nText.\n"
    )
    (document,) = read(write({"page.md": text})).values()
    first, part, deep = document.sections
    assert [block.kind for block in first.blocks] == ["paragraph", "list", "table", "code", "quote"]
    assert first.blocks[0].markdown == "A *word* with (1) and `c|d`."
    assert first.blocks[1].items == ("1. one\n   - deep", "2. two")
    assert first.blocks[2].with_items([1]) == "| A | B |\n| --- | --- |\n| z |  |"
    assert first.blocks[2].item_texts == ("x · y|", "z")
    assert first.blocks[3].markdown == "```sh\nrun\n```"
    assert (part.heading, part.blocks, part.heading_path) == ("Part", (), ())
    assert (deep.heading, deep.heading_path, deep.text) == ("Deep", ("Part",), "Text.")


def test_text_of_scripts_without_spaces_is_joined_without_one(write: Write) -> None:
    """A line break between two Japanese letters is no space."""
    assert blocks("返品は\n三十日以内です。\n", write=write)[0].text == "返品は三十日以内です。"


def test_nesting_without_end_is_read(write: Write) -> None:
    """Boxes, directives, quotes and lists in each other a thousand times neither fail nor lose the last word."""
    for unit in (":::note\n", "```{note}\n", "> ", "- ", "> [!note]\n> ", "<div>\n", "{% hint %}\n", "[", "*a **b "):
        assert parse(unit * 1_000 + "end").tokens
