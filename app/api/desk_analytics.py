"""What happened each day, for leads: as JSON, as CSV, and the questions that were not answered."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

from flask import Blueprint, Response, request

from app.api import desk_schemas
from app.api.desk_auth import DeskCaller, desk_route
from app.api.openapi import DESK_ERRORS, ResponseSpec, openapi_operation
from app.api.sessions import json_response
from app.conversations.ids import timestamp
from app.conversations.questions import QuestionLog
from app.errors import InvalidRequest, PathNotFound
from app.extensions import services
from app.storage.analytics import HANDLERS, Analytics

blueprint = Blueprint("desk_analytics", __name__)

DEFAULT_DAYS = 30
MAX_DAYS = 366
"""Of one request."""


@desk_route(blueprint, "GET", "/analytics", "lead")
@openapi_operation(
    {
        200: ResponseSpec(
            "The days, oldest first.",
            {"application/json": desk_schemas.AnalyticsDays, "text/csv": {"type": "string"}},
        )
    },
    query=desk_schemas.AnalyticsQuery,
    auth="desk",
    errors=DESK_ERRORS,
)
def get_analytics(_caller: DeskCaller) -> Response:
    """Count what happened each day."""
    query = desk_schemas.AnalyticsQuery.parse(request.args)
    analytics = Analytics(services().store.client)
    first, last = _period(query, analytics.today(), services().config.analytics_days)
    days = [day.as_dict() for day in analytics.days(first, last)]
    if query.format == "csv":
        return _csv(days, f"baton-analytics-{first}-{last}.csv")
    return json_response(desk_schemas.AnalyticsDays.model_validate({"days": days}))


def _period(query: desk_schemas.AnalyticsQuery, today: date, kept_days: int) -> tuple[date, date]:
    """First and last day: what is asked for, as far as it is kept. Raises InvalidRequest."""
    last = query.to or today
    first = query.from_ or last - timedelta(days=min(DEFAULT_DAYS, (last - date.min).days + 1) - 1)
    if first > last:
        raise InvalidRequest("from", "must not be after to")
    if (last - first).days >= MAX_DAYS:
        raise InvalidRequest("from", f"must be at most {MAX_DAYS} days before to")
    return max(first, today - timedelta(days=kept_days)), min(last, today)


def _csv(days: Iterable[dict[str, Any]], filename: str) -> Response:
    """One line a day. Every cell is a date or a number, so that no spreadsheet can take one for a formula."""
    text = io.StringIO()
    writer = csv.writer(text)
    for number, day in enumerate(days):
        flat = _flat(day)
        if number == 0:
            writer.writerow(flat)
        writer.writerow(["" if value is None else value for value in flat.values()])
    response = Response(text.getvalue(), content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{filename}"'
    return response


def _flat(day: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in day.items():
        flat |= (
            {f"abandoned_{handler}": value[handler] for handler in HANDLERS} if name == "abandoned" else {name: value}
        )
    return flat


@desk_route(blueprint, "GET", "/questions", "lead")
@openapi_operation({200: desk_schemas.QuestionList}, auth="desk", errors=DESK_ERRORS)
def list_questions(_caller: DeskCaller) -> Response:
    """List the questions that were not answered."""
    log = services().questions
    questions = [
        desk_schemas.Question(
            id=group.id, question=group.question, count=group.count, first_at=timestamp(group.first_at),
            last_at=timestamp(group.last_at),
        )
        for group in (log.list() if log else ())
    ]  # fmt: skip
    return json_response(desk_schemas.QuestionList(kept=log is not None, questions=questions))


@desk_route(blueprint, "DELETE", "/questions", "lead", audit="erase questions")
@openapi_operation({204: ResponseSpec("Nothing of them is left.")}, auth="desk", errors=DESK_ERRORS)
def erase_questions(_caller: DeskCaller) -> Response:
    """Erase all questions that were kept."""
    _questions().erase()
    return Response(status=204)


@desk_route(blueprint, "DELETE", "/questions/<question_id>", "lead", audit="erase questions")
@openapi_operation({204: ResponseSpec("Nothing of it is left.")}, auth="desk", errors=DESK_ERRORS)
def erase_question(_caller: DeskCaller, question_id: str) -> Response:
    """Erase a question that was kept, with all that were like it."""
    if not _questions().erase(question_id):
        raise PathNotFound("There is no such question.")
    return Response(status=204)


def _questions() -> QuestionLog:
    """Also where no more are kept: what was kept before can still be erased."""
    return QuestionLog(services().store.client)
