"""Login at the desk through an OpenID Connect provider: the way there, and the way back."""

from __future__ import annotations

from flask import Blueprint, Response, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from app.audit import audit_line
from app.auth.oidc import STATE_SECONDS, Identity, LoginFailed, NoRole, OidcProvider
from app.auth.operators import OperatorDirectory
from app.client_address import client_network_hash
from app.extensions import services
from app.login_cookie import cookie_name, is_https, set_login_cookie
from app.rate_limit import address_limit
from app.web.pages import page_response

blueprint = Blueprint("desk_login", __name__, template_folder="../templates")


def _state_cookie() -> str:
    return "__Host-baton-login" if is_https() else "baton-login"


def _provider() -> OidcProvider:
    provider = services().oidc
    assert provider is not None  # noqa: S101 - create_app registers this blueprint only with one
    return provider


def _operators() -> OperatorDirectory:
    operators = services().operators
    assert operators is not None  # noqa: S101 - a provider comes with the desk alone
    return operators


@blueprint.get("/desk/oidc/login")
@address_limit
def oidc_login() -> AnyResponse:
    """Sends the browser to the provider. Its cookie is Lax: a strict one does not come back with the redirect."""
    try:
        url, state = _provider().start()
    except LoginFailed as error:
        return _failed(error)
    response = redirect(url, 302)
    response.headers["Cache-Control"] = "no-store"
    response.set_cookie(
        _state_cookie(), state, max_age=STATE_SECONDS, path="/", secure=is_https(), httponly=True, samesite="Lax"
    )
    return response


@blueprint.get("/desk/oidc/callback")
@address_limit
def oidc_callback() -> AnyResponse:
    """Logs in whom the provider vouches for, by a page that moves on by itself: its own request to the desk brings the
    strict cookie, which the redirect from elsewhere does not.
    """
    try:
        identity = _provider().finish(request.cookies.get(_state_cookie(), ""), request.args)
    except LoginFailed as error:
        return _failed(error)
    return _logged_in(identity)


def _logged_in(identity: Identity) -> Response:
    login = _operators().log_in_by_identity(
        identity.issuer, identity.subject, identity.name, identity.role, request.cookies.get(cookie_name())
    )
    audit_line("login", 200, login.operator, by="oidc")
    response = _page("login_done", 200)
    set_login_cookie(response, login.token)
    return response


def _failed(error: LoginFailed) -> Response:
    status = 403 if isinstance(error, NoRole) else 401
    audit_line("login", status, None, by="oidc", reason=error, address=client_network_hash()[:10])
    return _page("login_no_role" if status == 403 else "login_failed", status)


def _page(words: str, status: int) -> Response:
    page = page_response(
        render_template("desk_login.html", words=words, moves_on=status == 200), status=status, cache_control="no-store"
    )
    page.headers["X-Robots-Tag"] = "noindex"
    page.delete_cookie(_state_cookie(), path="/", secure=is_https(), httponly=True, samesite="Lax")
    return page
