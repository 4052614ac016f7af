"""The settings: read once from the environment, typed, frozen; a wrong value is one clear line."""

from __future__ import annotations

import base64
import binascii
import contextlib
import difflib
import ipaddress
import json
import os
import re
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

import limits
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, model_validator

ROOT = Path(__file__).resolve().parent.parent
MAX_INT = 1_000_000_000
MIN_SECRET_CHARS = 16
_HOST = r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?"
_HOSTS = rf"([^/?#]*@)?{_HOST}(,{_HOST})*"
REDIS_URL_PATTERNS = dict.fromkeys(("redis", "rediss"), rf"{_HOSTS}(/[0-9]*)?([?#].*)?") | {
    "unix": r"([^/?#]*@)?/.*",
    "redis+sentinel": rf"{_HOSTS}/[^/?#]+(/[0-9]*)?([?#].*)?",
    "redis+cluster": rf"{_HOSTS}(/0?)?([?#].*)?",
}
OPENAI = {"openai_base_url", "openai_api_key", "openai_model"}
UNPREFIXED_SETTINGS = OPENAI | {"port", "host", "redis_url", "web_concurrency", "railway_public_domain"}
"""Settings whose variable is their name in capitals; every other one begins with ``BATON_``."""
PAGES = ("demo", "install", "docs", "knowledge", "metrics")
"""What BATON_PAGES can leave out. The full page, the widget and the health check are always served."""
LOGO_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".svg": "image/svg+xml",
    ".ico": "image/x-icon",
}
MAX_LOGO_BYTES = 256 * 1024
Role = Literal["viewer", "operator", "lead", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
"""Of operators; each may do what those before it may."""


class ConfigError(ValueError):
    """A wrong value: one line that names the variable and what it may be, and never shows a secret."""


class SettingError(ValueError):
    """What a value must be; ``hide`` where the value itself may hold a secret."""

    def __init__(self, must: str, *, hide: bool = False) -> None:
        super().__init__(f"must {must}")
        self.hide = hide


def int_between(min_value: int, max_value: int = MAX_INT, unit: str = "") -> BeforeValidator:
    """Whole numbers from ``min_value`` to ``max_value``, as digits or as an int."""
    upper = f" and at most {max_value}" if max_value != MAX_INT else ""
    requirement = f"be a whole number{unit}, at least {min_value}{upper}"

    def parse(value: object) -> int:
        digits = re.fullmatch(r"[0-9]{1,10}", str(value), re.ASCII)
        if digits is None or not min_value <= int(digits[0]) <= max_value:
            raise SettingError(requirement)
        return int(digits[0])

    return BeforeValidator(parse)


def _parse_url(value: object, example: str = "an address such as https://chat.example.com") -> str:
    text, is_valid = str(value), False
    with contextlib.suppress(ValueError):
        parts = urlsplit(text)
        is_valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    if not is_valid or re.search(r"[\s\"'<>\\^`{|}]", text) or "#" in text or "@" in text.split("/", 3)[2]:
        raise SettingError(f"be {example}", hide="@" in text)
    return text


def _parse_base_url(value: object) -> str | None:
    """An address to which paths are added, without trailing slashes."""
    text = None if value is None else _parse_url(value).rstrip("/")
    if text and "?" in text:
        raise SettingError("be an address without a query")
    return text


def _parse_page_url(value: object) -> str | None:
    return None if value is None else _parse_url(value, "an address such as https://www.example.com/chat")


def _parse_host(value: object) -> str:
    text = re.sub(r"\A\[(.*)\]\Z", r"\1", str(value))
    with contextlib.suppress(ValueError):
        if re.fullmatch(r"[A-Za-z0-9_.-]*[A-Za-z_-][A-Za-z0-9_.-]*", text) or ipaddress.ip_address(text):
            return text
    raise SettingError("be an address to listen on, such as 127.0.0.1, 0.0.0.0 or ::")


def _parse_redis_url(value: object) -> str | None:
    """Checks the form only; connecting is up to the store."""
    if value is None:
        return None
    scheme, _, rest = _secret_text(value).partition("://")
    if scheme.lower() not in REDIS_URL_PATTERNS:
        raise SettingError(f"begin with one of {', '.join(f'{name}://' for name in REDIS_URL_PATTERNS)}", hide=True)
    hosts = re.split("[/?#]", rest.rpartition("@")[2])[0]
    has_ports = all(0 < int(port) < 65536 for port in re.findall(r":([0-9]+)(?:,|\Z)", hosts))
    if not re.fullmatch(REDIS_URL_PATTERNS[scheme.lower()], rest) or re.search(r"\s", rest) or not has_ports:
        raise SettingError(
            "name a server, such as redis://host:6379/0 or redis+sentinel://host:26379/name/0", hide=True
        )
    return f"{scheme.lower()}://{rest}"


def _parse_origin(text: str) -> str:
    """``scheme://host[:port]`` as browsers send it: lower case, no default port."""
    host = r"\[[0-9a-f:.]+\]|[a-z0-9_-]+(?:\.[a-z0-9_-]+)*"
    ascii_text = _to_ascii(text.strip().lower().removesuffix("/"))
    match = re.fullmatch(rf"(https?)://({host})(?::([0-9]{{1,5}}))?", ascii_text)
    if match is None or not 0 < int(match[3] or 1) < 65536:
        raise SettingError("be a comma list of exact origins such as https://www.example.com, without path or wildcard")
    scheme, host, port = match.groups()
    default = {"http": "80", "https": "443"}[scheme]
    return f"{scheme}://{host}" + (f":{port}" if port and port != default else "")


def _to_ascii(origin: str) -> str:
    """The origin with its host in punycode (RFC 3492), as browsers send it; unchanged where that is not possible."""
    scheme, separator, host = origin.partition("://")
    with contextlib.suppress(UnicodeError):
        return origin if origin.isascii() else scheme + separator + host.encode("idna").decode("ascii")
    return origin


def _parse_origins(value: object) -> tuple[str, ...] | None:
    if value is None:
        return None
    origins = tuple(dict.fromkeys(map(_parse_origin, _split_list(value))))
    if not origins:
        raise SettingError("name at least one origin such as https://www.example.com")
    return origins


def _parse_secret(value: object) -> str | None:
    """A secret that this service checks or signs with: long enough that nobody guesses it."""
    if value is None:
        return None
    text = _secret_text(value)
    if len(text) < MIN_SECRET_CHARS:
        raise SettingError(f"have at least {MIN_SECRET_CHARS} characters", hide=True)
    return text


def _parse_identity_secret(value: object) -> str | None:
    """One secret, or ``kid=secret,kid=secret`` during a rotation; each has to be long enough."""
    text = _parse_secret(value)
    pairs = [part.partition("=") for part in (text or "").split(",")]
    if len(pairs) > 1 and all(kid.strip() and separator for kid, separator, _ in pairs):
        for _, _, secret in pairs:
            _parse_secret(secret.strip())
    return text


def text(max_chars: int) -> BeforeValidator:
    """One line of text to be shown as it is."""

    def parse(value: object) -> str:
        line = str(value).strip()
        if not 0 < len(line) <= max_chars or UNSHOWABLE.search(line):
            raise SettingError(f"be one line of 1 to {max_chars} characters")
        return line

    return BeforeValidator(parse)


UNSHOWABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, line breaks and overrides of the writing direction."""


def _parse_json(value: object) -> object:
    """The value of a text in JSON; anything else unchanged."""
    with contextlib.suppress(ValueError, RecursionError):
        return json.loads(value) if isinstance(value, str) else value
    return value


def _split_list(value: object) -> list[str]:
    """The entries of a comma list, or of a list, without white space around them and without empty ones."""
    entries = value.split(",") if isinstance(value, str) else map(str, value)  # type: ignore[call-overload]
    return [entry.strip() for entry in entries if entry.strip()]


def _secret_text(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def _parse_suggestions(value: object) -> tuple[str, ...]:
    """At most eight questions, the number that the widget shows."""
    entries = _parse_json(value)
    entries = entries if isinstance(entries, list | tuple) else [None]
    questions = [entry.strip() if isinstance(entry, str) else "" for entry in entries]
    if len(questions) > 8 or not all(0 < len(text) <= 200 and not UNSHOWABLE.search(text) for text in questions):
        raise SettingError('be a JSON list of at most 8 texts of 1 to 200 characters, such as ["What does it cost?"]')
    return tuple(questions)


def _parse_color(value: object) -> str:
    if not re.fullmatch(r"#([0-9A-Fa-f]{3}|[0-9A-Fa-f]{6})", str(value)):
        raise SettingError("be a colour such as #0b6e5f")
    return str(value)


def _parse_lang(value: object) -> str:
    if not re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}", str(value)):
        raise SettingError("be a language tag such as en, de, ar or de-AT")
    return str(value)


def _parse_logo(value: object) -> str:
    """The path of an image file, or an https address."""
    logo = str(value)
    if logo.lower().startswith("https://"):
        return _parse_url(logo, "an image file or an address such as https://www.example.com/logo.png")
    path = Path(logo).expanduser()
    if "://" in logo or path.suffix.lower() not in LOGO_TYPES or not path.is_file():
        kinds = ", ".join(suffix[1:] for suffix in LOGO_TYPES)
        raise SettingError(f"be an image file that exists ({kinds}) or an address that begins with https://")
    if path.stat().st_size > MAX_LOGO_BYTES:
        raise SettingError(f"be a file of at most {MAX_LOGO_BYTES // 1024} KB")
    return str(path.resolve())


def _parse_contact_url(value: object) -> str:
    contact = str(value)
    if re.fullmatch(r"mailto:[^@\s/?#<>\"]+@[^@\s/?#<>\"]+(\?[^\s#<>\"]*)?", contact, re.IGNORECASE):
        return contact
    with contextlib.suppress(SettingError):
        if contact.lower().startswith("https://"):
            _parse_url(contact.partition("#")[0])
            return contact
    raise SettingError("be an address such as https://www.example.com/contact or mailto:help@example.com", hide=True)


def _parse_pages(value: object) -> frozenset[str]:
    names = {name.lower() for name in _split_list(value)}
    if not names or not names <= {"all", *PAGES}:
        raise SettingError(f"be all, or a comma list of {', '.join(PAGES[:-1])} and {PAGES[-1]}")
    return frozenset(PAGES if "all" in names else names)


def _parse_hosts(value: object) -> tuple[str, ...]:
    """Host names as browsers send them, in lower case and punycode."""
    hosts = [_to_ascii(f"https://{name.lower()}").partition("://")[2] for name in _split_list(value)]
    if not hosts or not all(re.fullmatch(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*", host) for host in hosts):
        raise SettingError("be a comma list of host names such as docs.example.com, without https:// and path")
    return tuple(dict.fromkeys(hosts))


def _parse_rate(value: object) -> str:
    text, is_valid = str(value or "").strip(), False
    with contextlib.suppress(ValueError):
        no_window = re.search("(?<![0-9])0+ *[a-z]", text.lower())  # the library takes "5 per 0 minutes" for one minute
        is_valid = not text or ([_is_countable(item) for item in limits.parse_many(text)] == [True] and not no_window)
    if not is_valid:
        raise SettingError('be one rate such as "30 per minute", or empty to switch it off')
    return text


def _is_countable(rate: limits.RateLimitItem) -> bool:
    """Whether Redis can count it: the window of "5 per 99999999 months" could not expire."""
    return 0 < rate.amount <= MAX_INT and 0 < rate.get_expiry() <= MAX_INT


def _parse_engine(value: object) -> str:
    name = r"[A-Za-z_][A-Za-z0-9_]*"
    if not re.fullmatch(rf"knowledge|openai|webhook|python:{name}(\.{name})*:{name}(\.{name})*", str(value)):
        raise SettingError("be knowledge, openai, webhook or python:package.module:attribute")
    return str(value)


def choice(*words: str, empty: bool = False) -> BeforeValidator:
    """One of some words, in any case."""

    def parse(value: object) -> str:
        if (text := str(value or "").lower()) in words or (empty and not text):
            return text
        raise SettingError(
            f"be {', '.join(words[:-1])}{' or ' if words[:-1] else ''}{words[-1]}" + (" or empty" if empty else "")
        )

    return BeforeValidator(parse)


def _parse_switch(value: object) -> bool:
    if (word := str(value).lower()) not in ("1", "true", "yes", "on", "0", "false", "no", "off"):
        raise SettingError("be on or off")
    return word in ("1", "true", "yes", "on")


def _parse_events_secret(value: object) -> str | None:
    """A secret as Standard Webhooks writes it: ``whsec_`` and base64 of 24 to 64 bytes."""
    if value is None:
        return None
    text, size = _secret_text(value), 0
    with contextlib.suppress(binascii.Error, ValueError):
        size = len(base64.b64decode(text.removeprefix("whsec_"), validate=True))
    if not text.startswith("whsec_") or not 24 <= size <= 64:
        raise SettingError("be whsec_ and base64 of 24 to 64 bytes", hide=True)
    return text


def _parse_issuer(value: object) -> str:
    """The issuer exactly as its tokens name it (a slash at the end counts), over https or on this machine."""
    issuer = _parse_url(value, "an address such as https://login.example.com")
    parts = urlsplit(issuer)
    if "?" in issuer or (parts.scheme == "http" and not _is_loopback(parts.hostname or "")):
        raise SettingError("be an https address without a query, such as https://login.example.com")
    return issuer


def _is_loopback(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def _parse_roles(value: object) -> dict[str, str]:
    """Roles by group of the OpenID provider."""
    groups = _parse_json(value)
    roles = groups if isinstance(groups, dict) else {}
    if not 0 < len(roles) <= 100 or not all(group and role in ROLES for group, role in roles.items()):
        names = ", ".join(ROLES[:-1])
        raise SettingError(f'be a JSON object from group to {names} or {ROLES[-1]}, such as {{"support": "operator"}}')
    return dict(roles)


def existing_path(kind: Literal["folder", "file", "new folder"]) -> BeforeValidator:
    """A folder or a file that exists, or a path where a folder exists or can be made."""

    def parse(value: object) -> Path | None:
        path = None if value is None else Path(str(value)).expanduser().resolve()
        if path and kind == "new folder" and path.exists() and not path.is_dir():
            raise SettingError("be a folder")
        if path and ((kind == "folder" and not path.is_dir()) or (kind == "file" and not path.is_file())):
            raise SettingError(f"be a {kind} that exists")
        return path

    return BeforeValidator(parse)


def _parse_embeddings(value: object) -> str:
    if (text := str(value or "").lower()) not in ("", "local"):
        raise SettingError("be local or empty")
    if text and not all(map(find_spec, ("numpy", "onnxruntime", "tokenizers"))):
        raise SettingError("be empty where requirements-semantic.txt is not installed (make run SEMANTIC=1 does it)")
    return text


def _parse_model_dir(value: object) -> Path:
    folder = Path(str(value)).expanduser().resolve()
    if not (folder / "model.onnx").is_file() or not (folder / "tokenizer.json").is_file():
        raise SettingError("be a folder that has model.onnx and tokenizer.json")
    return folder


def _parse_folders(value: object) -> tuple[Path, ...]:
    """One folder or several, parted as in PATH (``:``, on Windows ``;``)."""
    parts = value if isinstance(value, list | tuple) else str(value).split(os.pathsep)
    folders = tuple(Path(str(part)).expanduser().resolve() for part in parts if str(part))
    if not folders or not all(folder.is_dir() for folder in folders):
        raise SettingError(f"be a folder that exists, or several parted by {os.pathsep}")
    return tuple(dict.fromkeys(folders))


def _public_url(known: dict[str, Any]) -> str:
    """The default of PUBLIC_URL: the platform's domain, else the address the service listens on."""
    if domain := known.get("railway_public_domain"):
        return f"https://{domain}"
    host = known.get("host", "127.0.0.1")
    host = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 - only compared
    return f"http://{_bracketed(host)}:{known.get('port', 8000)}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


Seconds = Annotated[int, int_between(1, unit=" of seconds")]
PositiveInt = Annotated[int, int_between(1)]
NonNegativeInt = Annotated[int, int_between(0)]
Rate = Annotated[str, BeforeValidator(_parse_rate)]
BaseUrl = Annotated[str | None, BeforeValidator(_parse_base_url)]
PageUrl = Annotated[str | None, BeforeValidator(_parse_page_url)]
ForeignSecret = SecretStr | None
"""Issued by somebody else, so its length is theirs to choose."""
Secret = Annotated[SecretStr | None, BeforeValidator(_parse_secret)]


class Settings(BaseModel):
    """Every setting, by the name of its variable in lower case, without ``BATON_``.

    Durations are whole seconds. ``Settings(...)`` reads no environment; ``Settings.from_env()`` does.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=False)

    port: Annotated[int, int_between(1, 65535)] = 8000
    host: Annotated[str, BeforeValidator(_parse_host)] = "127.0.0.1"
    redis_url: Annotated[SecretStr | None, BeforeValidator(_parse_redis_url)] = None
    openai_base_url: BaseUrl = None
    openai_api_key: ForeignSecret = None
    openai_model: str = "gpt-4o-mini"
    web_concurrency: Annotated[int, int_between(1, 256)] = 2
    railway_public_domain: str | None = None

    session_ttl: Seconds = 86_400
    session_max_age: Seconds = 604_800
    idle_timeout: Seconds = 1_800
    ticket_ttl: Seconds = 300
    allowed_origins: Annotated[tuple[str, ...] | None, BeforeValidator(_parse_origins)] = None
    public_url: Annotated[str, BeforeValidator(_parse_base_url)] = Field(default_factory=_public_url)
    chat_page_url: PageUrl = None
    api_key: Secret = None
    identity_secret: Annotated[SecretStr | None, BeforeValidator(_parse_identity_secret)] = None
    engine: Annotated[str, BeforeValidator(_parse_engine)] = "knowledge"
    knowledge_dir: Annotated[tuple[Path, ...], BeforeValidator(_parse_folders)] = (ROOT / "docs",)
    knowledge_url: BaseUrl = None
    webhook_url: PageUrl = None
    webhook_secret: Secret = None
    webhook_allow_private: Annotated[bool, BeforeValidator(_parse_switch)] = False
    engine_timeout: Seconds = 60
    engine_concurrency: PositiveInt = 32
    engine_per_minute: PositiveInt = 600
    fallback: Annotated[str, choice("knowledge", empty=True)] = ""
    openai_prompt_file: Annotated[Path | None, existing_path("file")] = None
    openai_history_tokens: NonNegativeInt = 4_000
    openai_max_tokens: PositiveInt = 1_024
    openai_pass_model: Annotated[bool, BeforeValidator(_parse_switch)] = False
    embeddings: Annotated[str, BeforeValidator(_parse_embeddings)] = ""
    embeddings_model_dir: Annotated[Path | None, BeforeValidator(_parse_model_dir)] = None
    embeddings_url: BaseUrl = None
    embeddings_model: str = "text-embedding-3-small"
    embeddings_key: ForeignSecret = None
    wait_replicas: NonNegativeInt = 0
    max_message_chars: PositiveInt = 4_000
    max_messages: PositiveInt = 500
    body_timeout: Seconds = 15
    feeds_per_session: PositiveInt = 64
    feeds_per_address: PositiveInt = 256
    trusted_proxies: Annotated[int, int_between(0, 100)] = 0
    log_level: Annotated[str, choice("debug", "info", "warning", "error")] = "info"
    data_dir: Annotated[Path, existing_path("new folder")] = ROOT / ".data"
    title: Annotated[str | None, text(80)] = None
    greeting: Annotated[str | None, text(500)] = None
    suggestions: Annotated[tuple[str, ...], BeforeValidator(_parse_suggestions)] = ()
    color: Annotated[str | None, BeforeValidator(_parse_color)] = None
    theme: Annotated[str, choice("auto", "light", "dark")] = "auto"
    lang: Annotated[str | None, BeforeValidator(_parse_lang)] = None
    assistant_name: Annotated[str, text(60)] = "Assistant"
    logo: Annotated[str | None, BeforeValidator(_parse_logo)] = None
    contact_url: Annotated[str | None, BeforeValidator(_parse_contact_url)] = None
    pages: Annotated[frozenset[str], BeforeValidator(_parse_pages)] = frozenset(PAGES)
    link_hosts: Annotated[tuple[str, ...], BeforeValidator(_parse_hosts)] = ()
    typing_speed: Annotated[int, int_between(0, 1000, " of words a second")] = 0
    desk: Annotated[bool, BeforeValidator(_parse_switch)] = False
    queue_timeout: Seconds = 300
    analytics_days: Annotated[int, int_between(1, 3650, " of days")] = 90
    keep_questions: Annotated[bool, BeforeValidator(_parse_switch)] = False
    events_url: PageUrl = None
    events_secret: Annotated[SecretStr | None, BeforeValidator(_parse_events_secret)] = None
    oidc_issuer: Annotated[str | None, BeforeValidator(_parse_issuer)] = None
    oidc_client_id: Annotated[str | None, text(255)] = None
    oidc_client_secret: ForeignSecret = None
    oidc_roles: Annotated[dict[str, str] | None, BeforeValidator(_parse_roles)] = None
    rate_limit_create: Rate = "30 per minute"
    rate_limit_session: Rate = "100 per hour"
    rate_limit_address: Rate = "120 per minute"

    @property
    def chat_page(self) -> str:
        """Where the full page lives, for links to it."""
        return self.chat_page_url or f"{self.public_url}/chat"

    @property
    def knowledge_base(self) -> str:
        """The address to which a knowledge page's path is added to make a citation's URL."""
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
        if self.events_url is not None and self.events_secret is None:
            raise ConfigError("BATON_EVENTS_SECRET: must be set when BATON_EVENTS_URL is")
        oidc = {name: getattr(self, name) for name in ("oidc_issuer", "oidc_client_id", "oidc_client_secret")}
        oidc["oidc_roles"] = self.oidc_roles
        if any(oidc.values()) and not all(oidc.values()):
            missing = next(env_name(name) for name, value in oidc.items() if not value)
            raise ConfigError(f"{missing}: must be set when another BATON_OIDC_ setting is")
        return self

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read ``environ`` (the process's own by default); an empty value counts as unset, save for rate limits.

        Raises ConfigError for the first wrong value.
        """
        environ = os.environ if environ is None else environ
        given = {name: environ[env_name(name)].strip() for name in cls.model_fields if env_name(name) in environ}
        given = {name: value for name, value in given.items() if value or name.startswith("rate_limit_")}
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise ConfigError(_format_error(error, given)) from None


def unknown_names(environ: Mapping[str, str]) -> list[str]:
    """The variables that are most likely misspelled: they begin with ``BATON_`` and are no setting, or nearly have the
    name of another setting, such as REDIS_URI, which is not set.
    """
    known = {env_name(name) for name in Settings.model_fields}
    missing = [name.upper() for name in UNPREFIXED_SETTINGS if "_" in name and name.upper() not in environ]
    return sorted(
        name
        for name in environ
        if name not in known and (name.startswith("BATON_") or difflib.get_close_matches(name, missing, 1, 0.85))
    )


def misspelling_warnings(environ: Mapping[str, str]) -> list[str]:
    """A line for each of ``unknown_names``, with the setting that was most likely meant."""
    known = {env_name(name).removeprefix("BATON_"): env_name(name) for name in Settings.model_fields}
    lines = []
    for name in unknown_names(environ):
        similar = difflib.get_close_matches(name.removeprefix("BATON_"), known, n=1, cutoff=0.7)
        suggestion = f"; did you mean {known[similar[0]]}?" if similar else "."
        lines.append(f"{name} is no setting of this version{suggestion}")
    return lines


def startup_warnings(config: Settings, environ: Mapping[str, str]) -> list[str]:
    """What is most likely not meant, one plain line each; nothing of it stops the start."""
    lines = misspelling_warnings(environ)
    if config.host in ("0.0.0.0", "::") and not {"public_url", "railway_public_domain"} & config.model_fields_set:  # noqa: S104
        lines.append(
            f"BATON_PUBLIC_URL is not set, so links lead to {config.public_url}. "
            "Set it to the address that visitors use, such as https://chat.example.com."
        )
    if config.openai_pass_model and config.engine != "openai":
        lines.append("BATON_OPENAI_PASS_MODEL does nothing here: only BATON_ENGINE=openai passes a model on.")
    if "knowledge" not in config.pages and config.knowledge_url is None and config.engine == "knowledge":
        lines.append(
            "BATON_PAGES leaves out knowledge, so citations lead to pages that are not there. "
            "Set BATON_KNOWLEDGE_URL to where the documents can be read."
        )
    return lines


def unread_env_file(folder: Path, environ: Mapping[str, str]) -> str:
    """A line where the folder has a file .env of whose settings none is in ``environ``; else nothing."""
    written = ""
    with contextlib.suppress(OSError):
        written = (folder / ".env").read_text("utf-8", errors="replace")
    names = {env_name(name) for name in Settings.model_fields} & set(re.findall(r"(?m)^([A-Z_]+)=", written))
    if not names or names & set(environ):
        return ""
    return "The file .env is not read by itself. To use it: set -a; . ./.env; set +a; make run"


def env_name(name: str) -> str:
    """The environment variable of a setting."""
    return name.upper() if name in UNPREFIXED_SETTINGS else f"BATON_{name.upper()}"


def _format_error(error: ValidationError, given: Mapping[str, str]) -> str:
    first = error.errors(include_url=False)[0]
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, ConfigError):
        return str(cause)
    name = str(first["loc"][0])
    shown = "" if getattr(cause, "hide", False) or name not in given else f' (is "{given[name][:80]}")'
    line = f"{env_name(name)}: {cause or first['msg']}{shown}"
    return "".join(letter if letter.isprintable() else "?" for letter in line)


if __name__ == "__main__":  # `make run` validates first: gunicorn's own message for a bad WEB_CONCURRENCY is worse
    try:
        Settings.from_env()
    except ConfigError as error:
        raise SystemExit(str(error)) from None
    if line := unread_env_file(ROOT, os.environ):
        sys.stdout.write(f"{line}\n")
