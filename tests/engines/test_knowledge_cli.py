"""The command line over the knowledge folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.cli import main

SHOP = Path(__file__).resolve().parents[2] / "bench" / "answers" / "corpora" / "larkspur"


def test_ask(capsys: pytest.CaptureFixture[str]) -> None:
    """``knowledge ask`` prints the answer and where it stands."""
    assert main(["knowledge", "ask", "how long is the guarantee", "--dir", str(SHOP)]) == 0
    said = capsys.readouterr().out
    assert "ten years" in said
    assert "[1] Guarantee" in said
    assert "/knowledge/warranty#guarantee" in said


def test_ask_after(capsys: pytest.CaptureFixture[str]) -> None:
    """``--after`` asks as a follow-up."""
    main(["knowledge", "ask", "and the paper shades?", "--after", "how do I clean brass?", "--dir", str(SHOP)])
    assert "/knowledge/care/cleaning" in capsys.readouterr().out


def test_index(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """``knowledge index`` says how many pages there are and writes the index to the given folder."""
    assert main(["knowledge", "index", str(SHOP), "--data", str(tmp_path)]) == 0
    assert json.loads(capsys.readouterr().out)["pages"] == 10
    assert list(tmp_path.glob("*.db"))


def test_check(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """``knowledge check`` counts right pages, refusals and false answers, and fails on too many of the last."""
    good = [{"question": "how long is the guarantee", "pages": ["warranty"]}, {"question": "bake a pizza", "pages": []}]
    (tmp_path / "good.json").write_text(json.dumps(good))
    assert main(["knowledge", "check", str(tmp_path / "good.json"), "--dir", str(SHOP)]) == 0
    assert "recall@1 1.00, @3 1.00, refused 0" in capsys.readouterr().out
    (tmp_path / "bad.json").write_text(json.dumps([{"question": "how long is the guarantee", "pages": []}]))
    assert main(["knowledge", "check", str(tmp_path / "bad.json"), "--dir", str(SHOP)]) == 1


def test_check_writes_a_report(tmp_path: Path) -> None:
    """``check --report`` writes every question with its answer, what went wrong first."""
    asked = [
        {"question": "how long is the guarantee", "pages": ["warranty"], "fact": "ten years"},
        {"question": "clean brass", "pages": ["privacy"]},
    ]
    (tmp_path / "asked.json").write_text(json.dumps(asked))
    report = tmp_path / "report.md"
    main(["knowledge", "check", str(tmp_path / "asked.json"), "--dir", str(SHOP), "--report", str(report)])
    wrong, well = report.read_text("utf-8").split("## What went well")
    assert "### clean brass\n\nWanted: `privacy`. Found: `care/cleaning`" in wrong
    assert "### how long is the guarantee" in well
    assert "> Every Larkspur lamp is guaranteed for ten years" in well


def test_explain(capsys: pytest.CaptureFixture[str]) -> None:
    """``ask --explain`` shows ranks and scores, and why a question is refused."""
    main(["knowledge", "ask", "how long is the guarantee", "--dir", str(SHOP), "--explain"])
    said = capsys.readouterr().out
    assert "1. " in said
    assert "warranty › Guarantee" in said
    assert "answered: certainty +" in said
    main(["knowledge", "ask", "bake a pizza", "--dir", str(SHOP), "--explain"])
    said = capsys.readouterr().out
    assert "pizza: not in the folder" in said
    assert "refused: certainty -" in said


def test_no_folder(capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that is not there is one plain line."""
    assert main(["knowledge", "ask", "x", "--dir", "/nowhere/at/all"]) == 2
    assert capsys.readouterr().out == "/nowhere/at/all is not a folder\n"


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (None, "cannot be read: No such file or directory"),
        ("no JSON", "must be a list such as"),
        ('{"question": "x"}', "must be a list such as"),
        ('["x"]', "must be a list such as"),
    ],
)
def test_a_wrong_file_of_questions(
    content: str | None, line: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A file of questions that cannot be read, or holds something else, is named in one line."""
    path = tmp_path / "questions.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SystemExit) as stopped:
        main(["knowledge", "check", str(path), "--dir", str(SHOP)])
    assert stopped.value.code == 2
    assert f"{path} {line}" in capsys.readouterr().err.splitlines()[-1]


def test_a_report_that_cannot_be_written(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """One line names the report that cannot be written."""
    (tmp_path / "asked.json").write_text("[]")
    report = tmp_path / "no-such-folder" / "report.md"
    assert main(["knowledge", "check", str(tmp_path / "asked.json"), "--dir", str(SHOP), "--report", str(report)]) == 2
    assert capsys.readouterr().err == f"{report} cannot be written: No such file or directory\n"


def test_a_misspelled_setting(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A command names a setting that is misspelled in its environment, as the service does at its start."""
    monkeypatch.setenv("BATON_KNOWLEGE_DIR", str(SHOP))
    main(["knowledge", "ask", "how long is the guarantee", "--dir", str(SHOP)])
    expected = "BATON_KNOWLEGE_DIR is no setting of this version; did you mean BATON_KNOWLEDGE_DIR?\n"
    assert capsys.readouterr().err == expected
