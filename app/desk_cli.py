"""``python -m app desk invite``: makes an operator, or finds one again, and prints the link that logs them in once."""

from __future__ import annotations

import argparse
import sys

from pydantic import TypeAdapter, ValidationError

from app.auth.operators import Invitation, Operator, OperatorDirectory
from app.config import ROLES, ConfigError, Role, Settings
from app.errors import StorageUnavailable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The commands of the area ``desk``."""
    commands = parser.add_subparsers(title="commands", required=True)
    invite = commands.add_parser("invite", help="print a login link, good once and for 24 hours")
    invite.add_argument("name", metavar="NAME", help="as visitors see it; who has it already gets a new link")
    invite.add_argument("--role", choices=ROLES, required=True, help="what they may do")


def main(options: argparse.Namespace) -> int:
    """0 with the link on stdout; 1 where storage is away; 2 for a wrong setting or name."""
    from app.api.desk_operators import invitation_url
    from app.api.desk_schemas import OperatorName
    from app.storage import open_client
    from app.storage.operators import RedisOperatorStore

    try:
        config = Settings.from_env()
        name = TypeAdapter(OperatorName).validate_python(options.name)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    except ValidationError:
        print("NAME must be one line of 1 to 60 characters", file=sys.stderr)
        return 2
    client = open_client(config)
    try:
        invitation = _invite(OperatorDirectory(RedisOperatorStore(client)), name, options.role)
    except StorageUnavailable as error:
        print(f"Redis cannot be used: {error.kind}", file=sys.stderr)
        return 1
    finally:
        client.close()
    if not config.desk:
        print("BATON_DESK is not on here: the link works once the service runs with it.", file=sys.stderr)
    operator = invitation.operator
    print(f"{operator.name}, {operator.role}, {operator.id}. The link works once, within 24 hours:", file=sys.stderr)
    print(invitation_url(config.public_url, invitation))
    return 0


def _invite(operators: OperatorDirectory, name: str, role: Role) -> Invitation:
    """For the one operator of this name, whose role becomes ``role``; else a new operator."""
    known = [state.operator.id for state in operators.states() if state.operator.name == name]
    if len(known) == 1:
        return operators.invite_again(Operator(known[0], name, role))
    return operators.invite(name, role)
