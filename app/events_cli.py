"""``python -m app events list|retry``: what could not be delivered to the owner's own systems, and another try."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime

from app.config import ConfigError, Settings
from app.errors import StorageUnavailable
from app.storage.event_queue import DeadLetter, EventQueue


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The commands of the area ``events``."""
    commands = parser.add_subparsers(title="commands", dest="command", required=True)
    show = commands.add_parser("list", help="the events that could not be delivered for a day, oldest first")
    show.add_argument("--json", action="store_true", help="one JSON object a line")
    show.add_argument("--limit", type=_positive, default=1_000, metavar="N", help="at most so many (1000)")
    retry = commands.add_parser("retry", help="put them back into the queue")
    retry.add_argument("ids", nargs="*", metavar="ID", help="only these (default: all)")


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < len(text) <= 6 or int(text) == 0:
        raise argparse.ArgumentTypeError("must be a whole number from 1 to 999999")
    return int(text)


def main(options: argparse.Namespace) -> int:
    """0 when it went well; 1 where storage is away, or an id names no event; 2 for a wrong setting."""
    from app.storage import open_client

    try:
        client = open_client(Settings.from_env())
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        queue = EventQueue(client, "command line", 0, 0)
        return _list(queue, options) if options.command == "list" else _retry(queue, options)
    except StorageUnavailable as error:
        print(f"Redis cannot be used: {error.kind}", file=sys.stderr)
        return 1
    finally:
        client.close()


def _list(queue: EventQueue, options: argparse.Namespace) -> int:
    for letter in queue.dead_letters(options.limit):
        print(json.dumps(asdict(letter)) if options.json else _line(letter))
    waiting, dead = queue.count()
    print(f"{dead} could not be delivered, {waiting} in the queue", file=sys.stderr)
    return 0


def _line(letter: DeadLetter) -> str:
    queued = datetime.fromtimestamp(letter.queued_at / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return f"{letter.id}  {queued}  {letter.type}  {letter.ref}  {letter.attempts} attempts, the last: {letter.problem}"


def _retry(queue: EventQueue, options: argparse.Namespace) -> int:
    count = queue.retry(options.ids)
    print(f"{count} put back into the queue")
    return 0 if count or not options.ids else 1
