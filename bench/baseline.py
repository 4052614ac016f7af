"""What the other benchmarks measure against: a Flask application whose routes do nothing, and an engine that echoes."""

from __future__ import annotations

from collections.abc import Iterator

from flask import Flask, Response

from app.ports import Piece, Text, Turn


def create_app() -> Flask:
    """GET and POST /noop."""
    app = Flask(__name__)

    @app.route("/noop", methods=["GET", "POST"])
    def noop() -> Response:
        return Response(b'{"success":true}', mimetype="application/json")

    return app


def echo(turn: Turn) -> Iterator[Piece]:
    """An engine function (`BATON_ENGINE=python:bench.baseline:echo`) that answers with the question."""
    yield Text(turn.question)


class EchoEngine:
    """The same inside the service, without the process that a Python engine gets."""

    name = "echo"

    def answer(self, turn: Turn) -> Iterator[Piece]:
        """The question."""
        yield Text(turn.question)


def echo_app() -> Flask:
    """The service as shipped, with the echo engine."""
    from app import create_app as create_service  # here: the process of a Python engine does not need it

    return create_service(engine=EchoEngine())
