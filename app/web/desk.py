"""The operators' page: the same bytes for everybody, whoever is logged in; what it shows comes from /api/desk.

``create_app`` registers it only where ``BATON_DESK`` is on.
"""

from __future__ import annotations

from flask import Blueprint, Response, render_template

from app.extensions import services
from app.web import face
from app.web.pages import page_response

blueprint = Blueprint("desk_page", __name__, template_folder="../templates")
OIDC_LOGIN_PATH = "/desk/oidc/login"


@blueprint.get("/desk")
def desk() -> Response:
    """The desk. It reads an invitation from the address's fragment, which browsers do not send."""
    config = services().config
    options = {**face.chat_options(config), "oidc": OIDC_LOGIN_PATH if config.oidc_issuer else None}
    for name in ("greeting", "suggestions"):
        del options[name]
    response = page_response(render_template("desk.html", options=options), cache_control="no-store")
    response.headers["X-Robots-Tag"] = "noindex"
    return response
