"""GET /api/site: the site's branding, as the widget and the full page show it."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify

from app.api import schemas
from app.api.openapi import openapi_operation
from app.errors import StorageUnavailable
from app.extensions import services

blueprint = Blueprint("site", __name__)


def _people() -> str:
    """Whether people answer too: ``off``, ``away`` or ``online``."""
    operators = services().operators
    try:
        return operators.people_state() if operators else "off"
    except StorageUnavailable:  # what visitors see does not depend on it
        return "away"


@blueprint.get("/api/site")
@openapi_operation({200: schemas.Site})
def get_site() -> Response:
    """What visitors see, as set on the server; null where the widget's own words and looks are to be shown."""
    config = services().config
    response = jsonify(
        {
            "success": True,
            "title": config.title,
            "greeting": config.greeting,
            "suggestions": config.suggestions,
            "color": config.color,
            "theme": config.theme,
            "lang": config.lang,
            "assistant_name": config.assistant_name,
            "logo_url": f"{config.public_url}/logo" if config.logo else None,
            "contact_url": config.contact_url,
            "people": _people(),
        }
    )
    response.headers["Cache-Control"] = "public, max-age=60"
    response.vary.add("Origin")
    return response
