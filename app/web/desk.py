"""The operators' page. What it shows comes from /api/desk.

``create_app`` registers it only where ``BATON_DESK`` is on.
"""

from __future__ import annotations

from flask import Blueprint, Response, render_template, request

from app.errors import StorageUnavailable
from app.extensions import services
from app.login_cookie import cookie_name
from app.web import branding
from app.web.pages import page_response

blueprint = Blueprint("desk_page", __name__, template_folder="../templates")
OIDC_LOGIN_PATH = "/desk/oidc/login"


@blueprint.get("/desk")
def desk() -> Response:
    """The desk. It reads an invitation from the address's fragment, which browsers do not send."""
    config = services().config
    options = {
        **branding.chat_options(config),
        "oidc": OIDC_LOGIN_PATH if config.oidc_issuer else None,
        "signed_out": "true" if _is_signed_out() else None,
    }
    for name in ("greeting", "suggestions"):
        del options[name]
    response = page_response(render_template("desk.html", options=options), cache_control="no-store")
    response.headers["X-Robots-Tag"] = "noindex"
    return response


def _is_signed_out() -> bool:
    """Whether the page need not ask who is logged in: browsers report a refused call as an error.

    It has to ask after a link from another site, with which a strict cookie does not come.
    """
    operators = services().operators
    token = request.cookies.get(cookie_name())
    if operators is None or request.headers.get("Sec-Fetch-Site") == "cross-site":
        return False
    try:
        return token is None or operators.use_login(token) is None
    except StorageUnavailable:
        return False
