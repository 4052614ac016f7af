"""The yardstick: a Flask application whose routes do nothing."""

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
    """An engine that says what it was asked."""
    yield Text(turn.question)


class Echo:
    """The same within the service, without the thread of its own that somebody's Python gets."""

    name = "echo"

    def answer(self, turn: Turn) -> Iterator[Piece]:
        """What was asked."""
        yield Text(turn.question)


def echoing() -> Flask:
    """The service as shipped, with an engine that does nothing."""
    from app import create_app as service  # here, for the process of a Python engine has no need of it

    return service(engine=Echo())
