"""What the other benchmarks measure against: a Flask application whose routes do nothing, and an engine that echoes."""

from __future__ import annotations

from collections.abc import Iterator

from flask import Flask, Response

from app.engines.base import AnswerChunk, EngineRequest, TextChunk


def create_app() -> Flask:
    """GET and POST /noop."""
    app = Flask(__name__)

    @app.route("/noop", methods=["GET", "POST"])
    def noop() -> Response:
        return Response(b'{"success":true}', mimetype="application/json")

    return app


def echo(turn: EngineRequest) -> Iterator[AnswerChunk]:
    """An engine function (`BATON_ENGINE=python:bench.baseline:echo`) that answers with the question."""
    yield TextChunk(turn.question)


class EchoEngine:
    """The same inside the service, without the process that a Python engine gets."""

    name = "echo"

    def answer(self, turn: EngineRequest) -> Iterator[AnswerChunk]:
        """The question."""
        yield TextChunk(turn.question)


def echo_app() -> Flask:
    """The service as shipped, with the echo engine."""
    from app import create_app as create_service  # here: the process of a Python engine does not need it

    return create_service(engine=EchoEngine())
