"""Builds the answer: the section that says it, whole blocks of it under its name, and the citations behind it."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from urllib.parse import quote, urlsplit

from app.engines.base import Citation
from app.engines.knowledge.documents import Block, page_url
from app.engines.knowledge.index import Chunk, read_chunks
from app.engines.knowledge.languages import terms
from app.engines.knowledge.query import Query
from app.engines.knowledge.ranking import Hit
from app.engines.knowledge.sections import escaped
from app.engines.knowledge.small_talk import sentence

ANSWER_CHARS = 1_000
"""About how long an answer is at most."""
SHORT_CHARS = 500
"""Below which the page's next section is quoted too."""
SLACK = 200
"""By how much a single block may be longer than what is left."""
LONG_LIST, LONG_CHARS = 8, 600
"""Items and characters from which a list or a table is cut to what matches."""
MAX_CITATIONS = 5
SNIPPET_CHARS = 600
CITED = 0.5
"""A page is cited where its score reaches this share of the best one's, and always the first three do a lower one."""
CITED_FIRST = 0.25
SEE_ALSO = 0.8
"""A second page is named in the answer where its score reaches this share."""
_LINK = re.compile(r"(`[^`\n]*`)|\[([^\[\]]*)\]\(([^()\s]*)\)")
_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])")


@dataclass(frozen=True, slots=True)
class Answer:
    """Markdown and its sources; ``[1]`` in the text is the first of them."""

    text: str
    citations: tuple[Citation, ...] = ()
    not_found: bool = False


@dataclass(frozen=True, slots=True)
class _Quote:
    """What an answer quotes of a chunk: Markdown, and the lines of plain text behind it."""

    markdown: str
    lines: tuple[str, ...]


def build_answer(db: sqlite3.Connection, query: Query, hits: Sequence[Hit], base_url: str, lang: str) -> Answer:
    """The answer of a folder that has one; ``lang`` is that of the fixed words in it."""
    leaders = leading_hits(hits)
    chunks = read_chunks(db, [hit.chunk for hit in leaders])
    best = _with_text(db, chunks[leaders[0].chunk])
    weights = _weights(query)
    quoted = _quote(best, weights, ANSWER_CHARS)
    parts = [f"**{escaped(_name(best))}** [1]", quoted.markdown]
    following = _next_section(db, best, leaders[0], weights) if len(quoted.markdown) < SHORT_CHARS else None
    if following:
        more = _quote(following, weights, ANSWER_CHARS - len(quoted.markdown))
        parts += [f"**{escaped(following.heading)}**", more.markdown] if following.heading else [more.markdown]
    citations = [_citation(best, quoted.lines, weights, base_url)]
    citations += [_citation(chunks[hit.chunk], (), weights, base_url) for hit in leaders[1:]]
    if len(leaders) > 1 and leaders[1].score >= SEE_ALSO * leaders[0].score:
        parts.append(f"{sentence('see_also', lang)} {escaped(chunks[leaders[1].chunk].title)} [2].".replace(": ", ":"))
    hosts = {urlsplit(citation.url).netloc for citation in citations}
    return Answer("\n\n".join(_with_own_links(part, hosts) for part in parts if part), tuple(citations))


def build_citations(db: sqlite3.Connection, query: Query, hits: Sequence[Hit], base_url: str) -> list[Citation]:
    """The citations alone, best first, one a page: what a model is given."""
    chunks = read_chunks(db, [hit.chunk for hit in leading_hits(hits)])
    return [_citation(_with_text(db, chunk), (), _weights(query), base_url) for chunk in chunks.values()]


def leading_hits(hits: Sequence[Hit]) -> list[Hit]:
    """The best hit of each page worth citing, best first."""
    best: dict[int, Hit] = {}
    for hit in hits:
        share = CITED_FIRST if len(best) < 3 else CITED
        if hit.score >= share * hits[0].score:
            best.setdefault(hit.page, hit)
    return list(best.values())[:MAX_CITATIONS]


def _with_own_links(markdown: str, hosts: set[str]) -> str:
    """Links to the hosts of the sources and within the folder stay; of others the text does, as a model's (M8)."""
    if markdown.startswith(("```", "~~~")):
        return markdown
    return _LINK.sub(
        lambda match: match[0] if match[1] or urlsplit(match[3]).netloc in {"", *hosts} else match[2], markdown
    )


def _with_text(db: sqlite3.Connection, chunk: Chunk) -> Chunk:
    """The chunk, or the next of its page with text where it is a heading alone."""
    following = () if chunk.blocks else read_chunks(db, range(chunk.id + 1, chunk.id + 4)).values()
    return next((one for one in following if one.blocks and one.page == chunk.page), chunk)


def _next_section(db: sqlite3.Connection, chunk: Chunk, hit: Hit, weights: dict[str, float]) -> Chunk | None:
    """The page's next section, where it belongs to this one or matches as well; its heading alone did not say it."""
    following = read_chunks(db, [chunk.id + 1]).get(chunk.id + 1)
    if following is None or following.page != chunk.page or not following.blocks:
        return None
    if following.anchor == chunk.anchor or (chunk.level and following.level > chunk.level):
        return following
    matches = _score(f"{following.heading} {following.text}", following.lang, weights)
    own = _score(f"{chunk.heading} {chunk.text}", chunk.lang, weights)
    return following if hit.named < 0.5 and matches >= 0.7 * own else None


def _weights(query: Query) -> dict[str, float]:
    """What each term of the question counts in choosing blocks, rows and snippets."""
    found: dict[str, float] = {}
    for term in (*query.terms, *query.context):
        for variant, share in term.variants:
            found[variant] = max(found.get(variant, 0.0), share * term.mass)
    return found


def _score(text: str, lang: str, weights: dict[str, float]) -> float:
    return sum(weights.get(term, 0.0) for term in set(terms(text[:4_000], lang)))


def _name(chunk: Chunk) -> str:
    """The section's name; a short one with its page's before it, since it may only make sense there."""
    if not chunk.heading or chunk.heading == chunk.title:
        return chunk.title or chunk.heading
    return chunk.heading if len(chunk.heading.split()) > 2 or not chunk.title else f"{chunk.title} › {chunk.heading}"


def _quote(chunk: Chunk, weights: dict[str, float], limit: int) -> _Quote:
    """Whole blocks of a chunk in order, from its first where they fit, else the run of them that matches best."""
    quotes = [_block_quote(block, chunk.lang, weights, limit) for block in chunk.blocks]
    scores = [_score("\n".join(quote.lines), chunk.lang, weights) for quote in quotes]
    some = quotes[_best_run([len(quote.markdown) + 2 for quote in quotes], scores, limit)]
    return _Quote("\n\n".join(quote.markdown for quote in some), tuple(line for quote in some for line in quote.lines))


def _best_run(sizes: Sequence[int], scores: Sequence[float], limit: int) -> slice:
    """The run of parts within the limit that scores best, at least one part; an earlier one unless it is clearly less.

    Takes time linear in the parts times those that fit.
    """
    best, chosen = -1.0, slice(0)
    for start in range(len(sizes)):
        end, size = start + 1, sizes[start]
        while end < len(sizes) and size + sizes[end] <= limit:
            size += sizes[end]
            end += 1
        score = sum(scores[start:end])
        if score > best * 1.05:
            best, chosen = score, slice(start, end)
    return chosen


def _block_quote(block: Block, lang: str, weights: dict[str, float], limit: int) -> _Quote:
    if block.items and (len(block.items) > LONG_LIST or len(block.markdown) > LONG_CHARS):
        chosen = _matching_items(block, lang, weights, limit)
        if not chosen and len(block.markdown) > limit + SLACK:
            sizes = accumulate(map(len, block.items))
            chosen = [at for at, size in enumerate(sizes) if not at or size <= limit]
        if chosen:
            return _Quote(block.with_items(chosen), tuple(block.item_texts[at] for at in chosen))
    if len(block.markdown) <= limit + SLACK:
        return _Quote(block.markdown, tuple(block.text.splitlines()))
    if block.kind == "code":
        fence, *lines = block.markdown.splitlines()
        shown = lines[: max(1, limit // 60)]
        return _Quote("\n".join([fence, *shown, fence[: len(fence) - len(fence.lstrip("`~"))]]), tuple(shown))
    ends = [*(found.end() for found in _SENTENCE_END.finditer(block.markdown)), len(block.markdown)]
    end = max((end for end in ends if end <= limit), default=ends[0])
    return _Quote(block.markdown[:end].rstrip(), tuple(block.text.splitlines()))


def _matching_items(block: Block, lang: str, weights: dict[str, float], limit: int) -> list[int]:
    """The items of a long list or table that hold the question's words, in order; steps, which need all, stay whole."""
    if re.match(r"\d+[.)] ", block.items[0]) and len(block.markdown) <= limit:
        return []
    scores = [_score(text, lang, weights) for text in block.item_texts]
    best = max(scores, default=0.0)
    if not best or min(scores) >= 0.5 * best:
        return []
    chosen: list[int] = []
    size = 0
    for at in sorted(range(len(scores)), key=lambda at: (-scores[at], at)):
        size += len(block.items[at])
        if scores[at] < 0.5 * best or len(chosen) == LONG_LIST or (chosen and size > limit):
            break
        chosen.append(at)
    return sorted(chosen)


def _citation(chunk: Chunk, used: Sequence[str], weights: dict[str, float], base_url: str) -> Citation:
    url = page_url(chunk.path, chunk.url, base_url)
    if chunk.anchor and "#" not in url:
        url += f"#{quote(chunk.anchor)}"
    title = chunk.title if chunk.heading in {"", chunk.title} else f"{chunk.title} › {chunk.heading}"
    return Citation(title, url, _snippet(chunk, used, weights))


def _snippet(chunk: Chunk, used: Sequence[str], weights: dict[str, float]) -> str:
    """Plain text of the page: all of the chunk where it fits, else the lines around what matches best."""
    if len(chunk.text) <= SNIPPET_CHARS:
        return chunk.text or chunk.heading or chunk.title
    lines = [line for line in used or chunk.text.splitlines() if line.strip()]
    scores = [_score(line, chunk.lang, weights) for line in lines]
    text = "\n".join(lines[_best_run([len(line) + 1 for line in lines], scores, SNIPPET_CHARS)])
    if len(text) <= SNIPPET_CHARS:
        return text
    cut = text[:SNIPPET_CHARS]
    return cut[: max(cut.rfind(" "), cut.rfind("\n"), SNIPPET_CHARS // 2)].rstrip()
