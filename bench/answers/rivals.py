"""The searches that the knowledge engine is measured beside: bm25s and tantivy, each as its manual uses it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from app.engines.knowledge.old_documents import paths, read, scan, written

Ranked = Callable[[str], list[str]]
"""From a question to the paths of pages, best first, at most five."""


def documents(folder: Path) -> list[tuple[str, str, str]]:
    """Path, title and text of every page."""
    found = scan(folder)
    where = paths([one.file for one in found])
    pages = [(where[one.file], written(read(folder, one), one.file)) for one in found]
    return [(path, page.title, page.source) for path, page in pages]


def bm25s(folder: Path) -> Ranked:
    """Whole pages in bm25s, its English stop-words taken out."""
    import bm25s as library

    pages = documents(folder)
    texts = [f"{title}\n{text}" for _, title, text in pages]
    searcher = library.BM25()
    searcher.index(library.tokenize(texts, stopwords="en", show_progress=False), show_progress=False)

    def ranked(question: str) -> list[str]:
        words = library.tokenize([question], stopwords="en", show_progress=False)
        found, scores = searcher.retrieve(words, k=min(5, len(pages)), show_progress=False)
        return [pages[int(at)][0] for at, score in zip(found[0], scores[0], strict=True) if score > 0]

    return ranked


def tantivy(folder: Path) -> Ranked:
    """Whole pages in tantivy with its English stemmer, the title weighing four times."""
    import tantivy as library

    schema = library.SchemaBuilder()
    schema.add_text_field("title", stored=True, tokenizer_name="en_stem")
    schema.add_text_field("body", stored=False, tokenizer_name="en_stem")
    schema.add_text_field("path", stored=True, tokenizer_name="raw")
    index = library.Index(schema.build())
    writer = index.writer()
    for path, title, text in documents(folder):
        writer.add_document(library.Document(title=title, body=text, path=path))
    writer.commit()
    index.reload()
    searcher = index.searcher()

    def ranked(question: str) -> list[str]:
        words = " ".join(re.findall(r"\w+", question))
        if not words:
            return []
        query, _ = index.parse_query_lenient(words.lower(), ["title", "body"], field_boosts={"title": 4.0})
        return [str(searcher.doc(place)["path"][0]) for _, place in searcher.search(query, 5).hits]

    return ranked
