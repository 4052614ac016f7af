"""The settings: read once from the environment, typed, frozen; a wrong value is one clear line."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import limits
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, model_validator

ROOT = Path(__file__).resolve().parent.parent
MOST = 1_000_000_000
_HOST = r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?"
_HOSTS = rf"([^/?#]*@)?{_HOST}(,{_HOST})*"
REDIS_SHAPES = dict.fromkeys(("redis", "rediss"), rf"{_HOSTS}(/[0-9]*)?([?#].*)?") | {
    "unix": r"([^/?#]*@)?/.*",
    "redis+sentinel": rf"{_HOSTS}/[^/?#]+(/[0-9]*)?([?#].*)?",
    "redis+cluster": rf"{_HOSTS}(/0?)?([?#].*)?",
}
OPENAI = {"openai_base_url", "openai_api_key", "openai_model"}
UNPREFIXED = OPENAI | {"port", "host", "redis_url", "web_concurrency", "railway_public_domain"}
"""Settings whose variable is their name in capitals; every other one begins with ``BATON_``."""


class ConfigError(ValueError):
    """A wrong value: one line that names the variable and what it may be, and never shows a secret."""


class SettingError(ValueError):
    """What a value must be; ``hide`` where the value itself may hold a secret."""

    def __init__(self, must: str, *, hide: bool = False) -> None:
        super().__init__(f"must {must}")
        self.hide = hide


def whole(least: int, most: int = MOST, unit: str = "") -> BeforeValidator:
    """Whole numbers from ``least`` to ``most``, as digits or as an int."""
    what = f"be a whole number{unit}, at least {least}" + (f" and at most {most}" if most != MOST else "")

    def parse(value: object) -> int:
        digits = re.fullmatch(r"[0-9]{1,10}", str(value), re.ASCII)
        if digits is None or not least <= int(digits[0]) <= most:
            raise SettingError(what)
        return int(digits[0])

    return BeforeValidator(parse)


def _address(value: object, what: str = "an address such as https://chat.example.com") -> str:
    text, sound = str(value), False
    with contextlib.suppress(ValueError):
        parts = urlsplit(text)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    if not sound or re.search(r"[\s\"'<>\\^`{|}]", text) or "#" in text or "@" in text.split("/", 3)[2]:
        raise SettingError(f"be {what}", hide="@" in text)
    return text


def _base(value: object) -> str | None:
    """An address to which paths are added: its trailing slashes are cut."""
    text = None if value is None else _address(value).rstrip("/")
    if text and "?" in text:
        raise SettingError("be an address without a query")
    return text


def _page(value: object) -> str | None:
    return None if value is None else _address(value, "an address such as https://www.example.com/chat")


def _host(value: object) -> str:
    text = str(value).removeprefix("[").removesuffix("]")
    with contextlib.suppress(ValueError):
        if re.fullmatch(r"[A-Za-z0-9_.-]*[A-Za-z_-][A-Za-z0-9_.-]*", text) or ipaddress.ip_address(text):
            return text
    raise SettingError("be an address to listen on, such as 127.0.0.1, 0.0.0.0 or ::")


def _redis(value: object) -> str | None:
    """Checked by its shape; where it leads is the store's matter."""
    if value is None:
        return None
    url = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    scheme, _, rest = url.partition("://")
    if scheme.lower() not in REDIS_SHAPES:
        raise SettingError(f"begin with one of {', '.join(f'{known}://' for known in REDIS_SHAPES)}", hide=True)
    if not re.fullmatch(REDIS_SHAPES[scheme.lower()], rest) or re.search(r"\s", rest):
        raise SettingError(
            "name a server, such as redis://host:6379/0 or redis+sentinel://host:26379/name/0", hide=True
        )
    return f"{scheme.lower()}://{rest}"


def _origin(text: str) -> str:
    """``scheme://host[:port]`` as browsers send it: lower case, no default port."""
    host = r"\[[0-9a-f:.]+\]|[a-z0-9_-]+(?:\.[a-z0-9_-]+)*"
    match = re.fullmatch(rf"(https?)://({host})(?::([0-9]{{1,5}}))?", text.strip().lower().removesuffix("/"))
    if match is None or not 0 < int(match[3] or 1) < 65536:
        raise SettingError("be a comma list of exact origins such as https://www.example.com, without path or wildcard")
    scheme, host, port = match.groups()
    default = {"http": "80", "https": "443"}[scheme]
    return f"{scheme}://{host}" + (f":{port}" if port and port != default else "")


def _origins(value: object) -> tuple[str, ...] | None:
    if value is None:
        return None
    parts = value.split(",") if isinstance(value, str) else [str(part) for part in value]  # type: ignore[attr-defined]
    return tuple(dict.fromkeys(_origin(part) for part in parts))


def _rate(value: object) -> str:
    text, sound = str(value or "").strip(), False
    with contextlib.suppress(ValueError):
        sound = not text or [item.amount > 0 for item in limits.parse_many(text)] == [True]
    if not sound:
        raise SettingError('be one rate such as "30 per minute", or empty to switch it off')
    return text


def _engine(value: object) -> str:
    name = r"[A-Za-z_][A-Za-z0-9_]*"
    if not re.fullmatch(rf"knowledge|openai|webhook|python:{name}(\.{name})*:{name}(\.{name})*", str(value)):
        raise SettingError("be knowledge, openai, webhook or python:package.module:attribute")
    return str(value)


def one_of(*words: str, empty: bool = False) -> BeforeValidator:
    """One of some words, in any case."""

    def parse(value: object) -> str:
        if (text := str(value or "").lower()) in words or (empty and not text):
            return text
        raise SettingError(
            f"be {', '.join(words[:-1])}{' or ' if words[:-1] else ''}{words[-1]}" + (" or empty" if empty else "")
        )

    return BeforeValidator(parse)


def _switch(value: object) -> bool:
    if (word := str(value).lower()) not in ("1", "true", "yes", "on", "0", "false", "no", "off"):
        raise SettingError("be true or false")
    return word in ("1", "true", "yes", "on")


def path_of(kind: Literal["folder", "file", "place"]) -> BeforeValidator:
    """A folder or a file that exists, or a place where a folder is or can be made."""

    def parse(value: object) -> Path | None:
        path = None if value is None else Path(str(value)).expanduser().resolve()
        if path and kind == "place" and path.exists() and not path.is_dir():
            raise SettingError("be a folder")
        if path and ((kind == "folder" and not path.is_dir()) or (kind == "file" and not path.is_file())):
            raise SettingError(f"be a {kind} that exists")
        return path

    return BeforeValidator(parse)


def _public_url(known: dict[str, Any]) -> str:
    """Where visitors find the service unless said: the platform's domain, else the address listened on."""
    if domain := known.get("railway_public_domain"):
        return f"https://{domain}"
    host = known.get("host", "127.0.0.1")
    host = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 - only compared
    return f"http://{_bracketed(host)}:{known.get('port', 8000)}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


Seconds = Annotated[int, whole(1, unit=" of seconds")]
Count = Annotated[int, whole(1)]
CountOrNone = Annotated[int, whole(0)]
Rate = Annotated[str, BeforeValidator(_rate)]
Base = Annotated[str | None, BeforeValidator(_base)]
Page = Annotated[str | None, BeforeValidator(_page)]
Secret = SecretStr | None


class Settings(BaseModel):
    """Every setting, by the name of its variable in lower case, without ``BATON_``.

    Times are in whole seconds. ``Config(...)`` reads no environment; ``Config.from_env()`` does.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=False)

    port: Annotated[int, whole(1, 65535)] = 8000
    host: Annotated[str, BeforeValidator(_host)] = "127.0.0.1"
    redis_url: Annotated[SecretStr | None, BeforeValidator(_redis)] = None
    openai_base_url: Base = None
    openai_api_key: Secret = None
    openai_model: str = "gpt-4o-mini"
    web_concurrency: Annotated[int, whole(1, 256)] = 2
    railway_public_domain: str | None = None

    session_ttl: Seconds = 86_400
    session_max_age: Seconds = 604_800
    idle_timeout: Seconds = 1_800
    ticket_ttl: Seconds = 300
    allowed_origins: Annotated[tuple[str, ...] | None, BeforeValidator(_origins)] = None
    public_url: Annotated[str, BeforeValidator(_base)] = Field(default_factory=_public_url)
    chat_page_url: Page = None
    api_key: Secret = None
    identity_secret: Secret = None
    engine: Annotated[str, BeforeValidator(_engine)] = "knowledge"
    knowledge_dir: Annotated[Path, path_of("folder")] = ROOT / "docs"
    knowledge_url: Base = None
    webhook_url: Page = None
    webhook_secret: Secret = None
    webhook_allow_private: Annotated[bool, BeforeValidator(_switch)] = False
    engine_timeout: Seconds = 60
    engine_concurrency: Count = 32
    engine_per_minute: Count = 600
    fallback: Annotated[str, one_of("knowledge", empty=True)] = ""
    openai_prompt_file: Annotated[Path | None, path_of("file")] = None
    openai_history_tokens: CountOrNone = 4_000
    openai_max_tokens: Count = 1_024
    embeddings_url: Base = None
    embeddings_model: str = "text-embedding-3-small"
    embeddings_key: Secret = None
    wait_replicas: CountOrNone = 0
    max_message_chars: Count = 4_000
    max_messages: Count = 500
    body_timeout: Seconds = 15
    feeds_per_session: Count = 64
    feeds_per_address: Count = 256
    trusted_proxies: Annotated[int, whole(0, 100)] = 0
    log_level: Annotated[str, one_of("debug", "info", "warning", "error")] = "info"
    data_dir: Annotated[Path, path_of("place")] = ROOT / ".data"
    rate_limit_create: Rate = "30 per minute"
    rate_limit_session: Rate = "100 per hour"
    rate_limit_address: Rate = "120 per minute"

    @property
    def chat_page(self) -> str:
        """Where the full page lives, for links to it."""
        return self.chat_page_url or f"{self.public_url}/chat"

    @property
    def knowledge_base(self) -> str:
        """What the path of a knowledge page is added to, to make the address of a citation."""
        return self.knowledge_url or f"{self.public_url}/knowledge"

    @property
    def bind(self) -> str:
        """``host:port`` to listen on."""
        return f"{_bracketed(self.host)}:{self.port}"

    @model_validator(mode="after")
    def _complete(self) -> Settings:
        if self.engine == "webhook" and self.webhook_url is None:
            raise ConfigError("BATON_WEBHOOK_URL: must be set when BATON_ENGINE is webhook")
        if self.engine == "openai" and self.openai_api_key is None and self.openai_base_url is None:
            raise ConfigError("OPENAI_API_KEY: must be set when BATON_ENGINE is openai and OPENAI_BASE_URL is not")
        return self

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read ``environ`` (the process's own by default); an empty value counts as unset, save for rate limits.

        Raises ConfigError for the first wrong value.
        """
        environ = os.environ if environ is None else environ
        given = {name: environ[variable(name)].strip() for name in cls.model_fields if variable(name) in environ}
        given = {name: value for name, value in given.items() if value or name.startswith("rate_limit_")}
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise ConfigError(_line(error, given)) from None


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return name.upper() if name in UNPREFIXED else f"BATON_{name.upper()}"


def _line(error: ValidationError, given: Mapping[str, str]) -> str:
    first = error.errors(include_url=False)[0]
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, ConfigError):
        return str(cause)
    name = str(first["loc"][0])
    shown = "" if getattr(cause, "hide", False) or name not in given else f' (is "{given[name][:80]}")'
    line = f"{variable(name)}: {cause or first['msg']}{shown}"
    return "".join(letter if letter.isprintable() else "?" for letter in line)


if __name__ == "__main__":  # `make run` asks before gunicorn, which reads WEB_CONCURRENCY itself and less kindly
    try:
        Settings.from_env()
    except ConfigError as error:
        raise SystemExit(str(error)) from None
