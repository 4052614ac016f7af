"""Which page answers, in which language, and what is refused: small folders of every kind."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.engines.base import ChatMessage
from app.engines.knowledge import KnowledgeEngine
from app.engines.knowledge.index_manager import index_folders
from app.engines.knowledge.query import Deadline, parse
from app.engines.knowledge.ranking import page_scores
from tests.conftest import until

Make = Callable[[dict[str, str]], KnowledgeEngine]

GERMAN = {
    "oeffnung.md": "# Öffnungszeiten\n\nDer Laden ist montags bis samstags von neun bis achtzehn Uhr geöffnet.\n",
    "versand.md": "# Versand\n\nDie Lieferung innerhalb Deutschlands kostet fünf Euro und dauert drei Tage.\n",
    "retouren.md": "# Rückgabe\n\nWaren können innerhalb von dreißig Tagen zurückgegeben werden.\n",
}
FRENCH = {
    "horaires.md": "# Horaires d'ouverture\n\nLa boutique est ouverte du lundi au samedi, de neuf à dix-huit heures.\n",
    "livraison.md": "# Livraison\n\nLa livraison en France coûte cinq euros et prend trois jours.\n",
    "retours.md": "# Retours\n\nLes articles peuvent être renvoyés dans les trente jours.\n",
}
SPANISH = {
    "horario.md": "# Horario\n\nLa tienda está abierta de lunes a sábado, de nueve a dieciocho horas.\n",
    "envios.md": "# Envíos\n\nEl envío dentro de España cuesta cinco euros y tarda tres días.\n",
    "devoluciones.md": "# Devoluciones\n\nLos artículos se pueden devolver en treinta días.\n",
}
JAPANESE = {
    "hours.md": "# 営業時間\n\n店は月曜日から土曜日まで、午前九時から午後六時まで営業しています。\n",
    "shipping.md": "# 配送\n\n国内の送料は五百円で、三日以内に届きます。\n",
    "returns.md": "# 返品\n\n商品は三十日以内であれば返品できます。\n",
}
DUTCH = {"uren.md": "# Openingstijden\n\nDe winkel is van maandag tot zaterdag open van negen tot zes uur.\n"}
CHINESE = {
    "hours.md": "# 营业时间\n\n商店周一至周六上午九点至下午六点营业。\n",
    "ship.md": "# 配送\n\n国内运费十元，三天内送达。\n",
}


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Engines over folders with these pages."""
    engines: list[KnowledgeEngine] = []

    def begin(pages: dict[str, str]) -> KnowledgeEngine:
        folder = tmp_path / f"pages-{len(engines)}"
        for name, text in pages.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, "utf-8")
        engines.append(KnowledgeEngine(folder, base_url="/knowledge", data_dir=tmp_path / "data"))
        return engines[-1]

    yield begin
    for engine in engines:
        engine.close()


def first(engine: KnowledgeEngine, question: str) -> str:
    """The page that answers, or nothing."""
    found = engine.ask(question).citations
    return engine.path_of(found[0].url) if found else ""


@pytest.mark.parametrize(
    ("pages", "question", "page"),
    [
        (GERMAN, "Wie sind die Öffnungszeiten?", "oeffnung"),
        (GERMAN, "Wann habt ihr geöffnet?", "oeffnung"),
        (GERMAN, "Was kosten die Versandkosten?", "versand"),
        (GERMAN, "Kann ich etwas zurückgeben?", "retouren"),
        (FRENCH, "Quels sont vos horaires ?", "horaires"),
        (FRENCH, "Combien coûte la livraison ?", "livraison"),
        (FRENCH, "Puis-je retourner un article ?", "retours"),
        (SPANISH, "¿Cuál es el horario?", "horario"),
        (SPANISH, "¿Cuánto cuesta el envío?", "envios"),
        (SPANISH, "¿Puedo devolver un artículo?", "devoluciones"),
        (JAPANESE, "営業時間を教えてください", "hours"),
        (JAPANESE, "送料はいくらですか", "shipping"),
        (JAPANESE, "返品できますか", "returns"),
        (DUTCH, "Wat zijn de openingstijden?", "uren"),
        (CHINESE, "营业时间是什么？", "hours"),
        (CHINESE, "运费多少？", "ship"),
    ],
)
def test_every_language_whose_folder_says_it(make: Make, pages: dict[str, str], question: str, page: str) -> None:
    """D3: a question is answered in the language of the folder."""
    assert first(make(pages), question) == page


@pytest.mark.parametrize(
    ("pages", "question", "sentence"),
    [
        (GERMAN, "Wer hat die Relativitätstheorie erfunden?", "Das habe ich auf diesen Seiten nicht gefunden."),
        (GERMAN, "Wie backe ich einen Apfelkuchen?", "Das habe ich auf diesen Seiten nicht gefunden."),
        (FRENCH, "Qui a gagné la coupe du monde ?", "Je n'ai pas trouvé cela dans ces pages."),
        (SPANISH, "¿Quién ganó el mundial de fútbol?", "No he encontrado eso en estas páginas."),
        (JAPANESE, "今日の天気はどうですか", "このサイトのページには見つかりませんでした。"),
        (CHINESE, "今天天气怎么样？", "在这些页面中没有找到相关内容。"),
        (GERMAN, "What is the capital of France?", "I could not find that in these pages."),
        (GERMAN, "ما هي عاصمة فرنسا؟", "لم أجد ذلك في هذه الصفحات."),
        (GERMAN, "Qual è la capitale della Francia?", "Non l'ho trovato in queste pagine."),
        (GERMAN, "Qual é a capital da França?", "Não encontrei isso nestas páginas."),
        (GERMAN, "Wat is de hoofdstad van Frankrijk?", "Dat heb ik in deze pagina's niet gevonden."),
    ],
)
def test_refused_in_the_language_of_the_question(
    make: Make, pages: dict[str, str], question: str, sentence: str
) -> None:
    """D4: what the folder does not say is refused in every language, in the question's own."""
    answer = make(pages).ask(question)
    assert answer.text.startswith(sentence)
    assert answer.citations == ()


def test_a_folder_of_two_languages(make: Make) -> None:
    """Of pages that say the same, the one in the question's language answers."""
    engine = make(
        {
            "en.md": "# Internet\n\nThe internet password of the hotel is on the card in your room. Ask at the desk.\n",
            "de.md": "# Internet\n\nDas Passwort für das Internet des Hotels steht auf der Karte im Zimmer.\n",
        }
    )
    assert first(engine, "Wie ist das Internet Passwort des Hotels?") == "de"
    assert first(engine, "What is the internet password of the hotel?") == "en"


@pytest.mark.parametrize(
    ("question", "page"),
    [
        ("Wie lade ich ein Bild hoch?", "bilder"),
        ("Wie mache ich eine Datensicherung?", "backup"),
        ("Wie bekomme ich Hilfe?", "hilfe"),
        ("Tastaturkürzel ändern", "tasten"),
        ("Was kostet Sync?", "tarife"),
        ("Gibt es ein Plugin für Kalender?", "erweiterung"),
        ("Klavierstunde für Anfänger", "musik"),
    ],
)
def test_german_words_and_their_parts(make: Make, question: str, page: str) -> None:
    """D3: a verb whose parts stand apart, a compound, a word near it, and one that joins others elsewhere."""
    engine = make(
        GERMAN
        | {
            "bilder.md": "# Medien\n\nBilder lassen sich im Editor hochladen; danach stehen sie im Archiv.\n",
            "backup.md": "# Backup\n\nSichere deine Daten einmal in der Woche auf einer anderen Platte.\n",
            "hilfe.md": "# Hilfe und Support\n\nSchreibe an das Forum oder an den Support.\n",
            "tasten.md": "# Tastenkürzel\n\nJedes Kürzel lässt sich in den Einstellungen ändern.\n",
            "tarife.md": "# Tarife für Sync\n\nDer Tarif Standard hat ein Gigabyte, der Tarif Plus hat zehn.\n",
            "musik.md": "# Musik\n\nAnfänger üben an alten Klavieren, die Stunden sind am Abend.\n",
            "erweiterung.md": "# Erweiterungen\n\nDie Erweiterung für den Kalender zeigt Notizen nach Tagen.\n",
        }
    )
    assert first(engine, question) == page


def test_a_foreign_question_finds_names_only(make: Make) -> None:
    """A question in a language that the folder lacks finds a name, but no word that a foreign one resembles."""
    engine = make(
        {
            "hand.md": "# By hand\n\nThe same can be done by hand, without the installer.\n",
            "wordpress.md": "# WordPress\n\nPaste the line into the footer of your WordPress theme.\n",
        }
    )
    assert first(engine, "Kann ich am Handy weiterschreiben?") == ""
    assert first(engine, "¿Puedo usarlo en WordPress?") == "wordpress"
    assert engine.ask("WordPress footer").text.count("Vedi") == 0


@pytest.mark.parametrize("question", ["What is this?", "¿Qué es esto?", "Was ist das?", "what do you do"])
def test_what_is_this(make: Make, question: str) -> None:
    """A question about the whole is answered with how the first page begins, one in its language where there is one;
    after another question it goes on from that.
    """
    engine = make(
        {
            "index.md": "# Larkspur\n\nWe make lamps of brass by hand.\n\n## Where\n\nIn Leeds.\n",
            "returns.md": "# Returns\n\nA lamp can be returned within 30 days.\n",
            "faq-de.md": "---\nlang: de\n---\n# Häufige Fragen\n\nWir machen Lampen aus Messing.\n",
        }
    )
    answer = engine.ask(question)
    assert ("aus Messing" if question.startswith("Was") else "lamps of brass") in answer.text
    assert answer.citations
    after = engine.ask("how does it work?", [ChatMessage("user", "can I return a lamp")])
    assert "30 days" in after.text


@pytest.mark.parametrize(
    ("question", "page"),
    [
        ("how long does delivery to the US take", "post"),
        ("what does a swim cost for kids", "pool"),
        ("are dogs allowed in the pool", "pool"),
        ("Gibt es eine Lehrstelle?", "lehre"),
        ("¿Dónde puedo aparcar?", "llegar"),
    ],
)
def test_words_near_those_of_the_page(make: Make, question: str, page: str) -> None:
    """D3, D13: a country's short name, and everyday words that the page says in another way."""
    engine = make(
        {
            "post.md": "---\nlang: en\n---\n# Delivery\n\n| Country | Time |\n| --- | --- |\n| Ireland | 3 days |\n"
            "| United States | 9 days |\n",
            "pool.md": "---\nlang: en\n---\n# Swimming\n\nA swim costs six pounds, for children three. "
            "Pets may not come into the pool.\n",
            "lehre.md": "---\nlang: de\n---\n# Ausbildung\n\nWir bilden zwei Tischler aus.\n",
            "llegar.md": "---\nlang: es\n---\n# Cómo llegar\n\nEl aparcamiento de la plaza es gratis.\n",
        }
    )
    assert first(engine, question) == page


def test_a_near_word_counts_more_where_the_folder_lacks_the_word(make: Make) -> None:
    """D13: the section with the folder's own word for it goes before one that holds the rest of the question."""
    pages = {
        "prices.md": "# Membership\n\n## Lost card\n\nA new membership card costs three pounds.\n\n"
        "## Fees\n\n- Adults: twenty pounds\n- Concession: ten pounds\n",
        "visit.md": "# Visit us\n\nWe are in the old mill.\n",
    }
    assert "Concession" in make(pages).ask("what does membership cost with a discount").text


def test_names_stay_whole(make: Make) -> None:
    """``OpenAI`` is not about what is open, ``createServer`` is about a server."""
    engine = make(
        {
            "models.md": "# OpenAI and others\n\nAny server of OpenAI may answer.\n",
            "node.md": "# The calls\n\nCall `createServer` first, `dropAll` at the end.\n",
        }
    )
    assert first(engine, "When are you open?") == ""
    assert first(engine, "create a server") == "node"


def test_the_page_score_counts(make: Make, tmp_path: Path) -> None:
    """The score of a page is above 0, and more for the page that is about what is asked."""
    pages = {
        f"{name}.md": f"# {name}\n\nThe {name} is washed by hand. It dries in the sun.\n" for name in ("shirt", "hat")
    }
    make(pages | {f"other-{at}.md": f"# Other {at}\n\nNothing to see here.\n" for at in range(6)})
    index_folders([tmp_path / "pages-0"], tmp_path / "pages.db", "/knowledge")
    db = sqlite3.connect(tmp_path / "pages.db")
    scores = page_scores(db, parse(db, "how is a hat washed", (), Deadline()).terms)
    titles = dict(db.execute("SELECT title, id FROM pages"))
    db.close()
    assert scores[titles["hat"]] > scores[titles["shirt"]] > 0


@pytest.mark.parametrize(
    ("question", "page"),
    [
        ("How do I back up my documents?", "backups"),
        ("how does the setup work", "setup"),
        ("how do I install Fernwood", "install"),
        ("what changed in version 2", "changelog"),
        ("Which database did you choose and why, by decision record?", "decisions/database"),
    ],
)
def test_the_page_whose_title_says_it(make: Make, question: str, page: str) -> None:
    """D10: titles and headings go first; a changelog or a decision record only when it is asked for."""
    engine = make(
        {
            "backups.md": "# Backups\n\nRun the backup command every night. It copies all documents to another disk.\n",
            "backend.md": "# The back end\n\nThe back end keeps documents in a database. Your documents go up to it.\n",
            "setup.md": "# Setup\n\nOpen the wizard and follow its steps. It works on every system.\n",
            "install.md": "# Installing Fernwood\n\n## With a package manager\n\nFernwood comes as one package.\n",
            "network.md": "# Network\n\nFernwood wants a port[^1].\n\n[^1]: Install Fernwood where you set it up.\n",
            "changelog.md": "# Changelog\n\n## Version 2\n\nInstall, setup, back up documents: how it works.\n",
            "decisions/database.md": "# Decision: the database\n\nHow to set up, install and back up documents: why.\n",
        }
    )
    assert first(engine, question) == page


def test_the_section_that_says_it(make: Make) -> None:
    """D13: a price is not answered with delivery times, whatever words ask for it."""
    engine = make(
        {
            "delivery.md": "# Delivery\n\n## How long does delivery take?\n\nDelivery takes three days.\n\n"
            "## What does delivery cost?\n\nFour pounds, and nothing over fifty pounds.\n"
        }
    )
    for question in ("how much is shipping", "what does delivery cost", "delivery price", "is postage expensive?"):
        assert "Four pounds" in engine.ask(question).text, question


def test_the_way_out(make: Make, tmp_path: Path) -> None:
    """Where the folder does not answer, the nearest topics are named and the contact is offered."""
    make(GERMAN)
    engine = KnowledgeEngine(
        tmp_path / "pages-0", base_url="/knowledge", data_dir=tmp_path / "data", contact_url="https://shop.example/help"
    )
    text = engine.ask("Wie lange dauert ein Flug zum Mond innerhalb von Raketen?").text
    assert "“" in text
    assert text.endswith("Sie können auch [Kontakt aufnehmen](https://shop.example/help).")
    engine.close()


def test_still_reading(make: Make, tmp_path: Path) -> None:
    """D15: while the first index of a large folder is made, /health and the answers say so, and nothing is refused."""
    pages = {f"page-{at}.md": f"# Page {at}\n\nThis is page number {at} of many.\n" for at in range(600)}
    engine = make(pages | {"rhubarb.md": "# Rhubarb\n\nRhubarb grows in the north garden.\n"})
    status, answer = engine.status(), engine.ask("Wo wächst der Rhabarber?")
    assert status["problem"] == "The pages are still being read for the first time."
    assert answer.text.startswith("Ich lese die Seiten dieser Website noch ein.")
    until(lambda: first(engine, "where does rhubarb grow") == "rhubarb", seconds=60, what="the index")
    assert engine.status()["problem"] is None


def test_long_tables_give_the_rows_that_match(make: Make) -> None:
    """Of a long table the matching rows are shown under its head; of steps none is left out."""
    names = ("Alba", "Brin", "Corv", "Dorn", "Elm", "Fay", "Gul", "Hob", "Ives", "Jorn")
    rows = "\n".join(f"| Country {name} | {at} euros |" for at, name in enumerate(names))
    steps = "\n".join(f"{at}. Turn the knob number {at} gently." for at in range(1, 13))
    engine = make(
        {
            "prices.md": f"# Prices\n\n## Postage by country\n\n| Country | Price |\n| --- | --- |\n{rows}\n",
            "start.md": f"# Starting the engine\n\n{steps}\n",
        }
    )
    text = engine.ask("what is the postage to Dorn").text
    assert "| Country | Price |" in text
    assert "| Country Dorn | 3 euros |" in text
    assert "Corv" not in text
    assert engine.ask("starting the engine with the knob").text.count("Turn the knob") == 12


def test_a_long_section_is_cut_to_whole_blocks(make: Make) -> None:
    """An answer has about 1,000 characters at most, of whole paragraphs that hold what is asked."""
    filler = "\n\n".join(f"Paragraph {at} tells of oaks and of elms and of the wind in them." * 3 for at in range(12))
    engine = make({"wood.md": f"# The wood\n\n{filler}\n\nThe badger sleeps under the old beech.\n"})
    text = engine.ask("where does the badger sleep").text
    assert "The badger sleeps under the old beech." in text
    assert len(text) < 1_300


def test_a_question_keeps_its_time_while_others_have_the_processor() -> None:
    """Waiting does not count as computing, so load does not cut a search short; by the clock it ends all the same."""
    waits, computes = Deadline(0.5), Deadline(0.01)
    wall, cpu = time.monotonic(), time.thread_time()
    while not computes.is_over():
        assert time.thread_time() < cpu + 5
    while time.monotonic() < wall + 0.6:
        threading.Event().wait(0.05)
    assert not waits.is_over()
    assert computes.is_over()
    idle = Deadline(0.02)
    until(idle.is_over, what="the clock's end of a search that never computes")
