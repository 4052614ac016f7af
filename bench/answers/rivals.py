"""What the knowledge engine is measured beside: common searches over the same chunks, each as its manual uses it."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

LANGUAGES = {"en": "english", "de": "german", "fr": "french", "es": "spanish"}
LUNR = Path(__file__).with_name("lunr.mjs")


@dataclass(frozen=True)
class Chunk:
    """A section of a page."""

    page: str
    title: str
    heading: str
    text: str


Ranked = Callable[[str], list[int]]
"""From a question to chunks by their number, best first, at most twenty."""
MANY = 20


def bm25s(chunks: list[Chunk], language: str) -> Ranked:
    """bm25s with its stop words and Snowball's stemmer."""
    import bm25s as library
    import snowballstemmer

    stop_words = language if language in {"en", "de", "fr", "es"} else None
    stemmer = snowballstemmer.stemmer(LANGUAGES[language]).stemWords if language in LANGUAGES else None
    searcher = library.BM25()

    def tokens(texts: list[str]) -> object:
        return library.tokenize(texts, stopwords=stop_words, stemmer=stemmer, show_progress=False)

    searcher.index(tokens([f"{one.title}\n{one.heading}\n{one.text}" for one in chunks]), show_progress=False)

    def ranked(question: str) -> list[int]:
        found, scores = searcher.retrieve(tokens([question]), k=min(MANY, len(chunks)), show_progress=False)
        return [int(at) for at, score in zip(found[0], scores[0], strict=True) if score > 0]

    return ranked


def fts5(chunks: list[Chunk], language: str) -> Ranked:
    """SQLite's FTS5 with its Porter stemmer (trigrams for Japanese), any word, titles and headings weighted."""
    db = sqlite3.connect(":memory:")
    tokenizer = "trigram" if language == "ja" else "porter unicode61"
    db.execute(f"CREATE VIRTUAL TABLE chunks USING fts5(title, heading, body, tokenize='{tokenizer}')")
    rows = [(one.title, one.heading, one.text) for one in chunks]
    db.executemany("INSERT INTO chunks VALUES (?, ?, ?)", rows)

    def ranked(question: str) -> list[int]:
        words = re.findall(r"\w+", question)
        if language == "ja":
            words = [word[at : at + 3] for word in words for at in range(max(1, len(word) - 2))]
        query = " OR ".join(f'"{word}"' for word in words)
        sql = "SELECT rowid - 1 FROM chunks WHERE chunks MATCH ? ORDER BY bm25(chunks, 4, 2, 1) LIMIT ?"
        return [row[0] for row in db.execute(sql, (query, MANY))] if query else []

    return ranked


def tantivy(chunks: list[Chunk], language: str) -> Ranked:
    """tantivy, English with its stemmer, the title weighing four times and the heading twice."""
    import tantivy as library

    tokenizer = "en_stem" if language == "en" else "default"
    schema = library.SchemaBuilder()
    for field in ("title", "heading", "body"):
        schema.add_text_field(field, stored=False, tokenizer_name=tokenizer)
    schema.add_unsigned_field("number", stored=True)
    index = library.Index(schema.build())
    writer = index.writer()
    for number, one in enumerate(chunks):
        writer.add_document(library.Document(title=one.title, heading=one.heading, body=one.text, number=number))
    writer.commit()
    index.reload()
    searcher = index.searcher()

    def ranked(question: str) -> list[int]:
        words = " ".join(re.findall(r"\w+", question)).lower()
        if not words:
            return []
        boosts = {"title": 4.0, "heading": 2.0}
        query, _ = index.parse_query_lenient(words, ["title", "heading", "body"], field_boosts=boosts)
        return [int(searcher.doc(place)["number"][0]) for _, place in searcher.search(query, MANY).hits]

    return ranked


def lunr(chunks: list[Chunk], _language: str) -> Ranked:
    """lunr in Node, the search of many documentation generators; English only, as it comes."""
    rows = [{"id": number, "t": one.title, "h": one.heading, "b": one.text} for number, one in enumerate(chunks)]
    node = subprocess.Popen(
        [shutil.which("node") or "node", str(LUNR)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert node.stdin is not None
    assert node.stdout is not None
    node.stdin.write(json.dumps(rows) + "\n")

    def ranked(question: str) -> list[int]:
        assert node.stdin is not None
        assert node.stdout is not None
        node.stdin.write(json.dumps(question) + "\n")
        node.stdin.flush()
        return [int(number) for number in json.loads(node.stdout.readline())]

    return ranked


RIVALS: dict[str, Callable[[list[Chunk], str], Ranked]] = {
    "bm25s": bm25s,
    "SQLite FTS5": fts5,
    "tantivy": tantivy,
    "lunr": lunr,
}


def missing(name: str) -> str:
    """Why a rival cannot run here, in a line; empty where it can."""
    import importlib.util

    if name == "lunr":
        if not shutil.which("node"):
            return "lunr: left out, there is no Node here"
        found = subprocess.run(["node", str(LUNR), "--check"], capture_output=True, check=False).returncode == 0
        return "" if found else "lunr: left out (npm install --prefix bench/answers --no-save lunr)"
    needed = {"bm25s": ("bm25s", "snowballstemmer"), "tantivy": ("tantivy",)}.get(name, ())
    absent = [module for module in needed if importlib.util.find_spec(module) is None]
    return f"{name}: left out (python -m pip install {' '.join(absent)})" if absent else ""
