"""The settings: what each takes, what it refuses and how, and that each is documented."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticUndefined

from app.config import (
    PAGES,
    ConfigError,
    Settings,
    env_name,
    misspelling_warnings,
    unknown_names,
    unread_env_file,
)
from scripts import env_example

ROOT = Path(__file__).resolve().parents[2]
DURATIONS = [
    f"BATON_{name}" for name in ("SESSION_TTL", "SESSION_MAX_AGE", "IDLE_TIMEOUT", "TICKET_TTL", "ENGINE_TIMEOUT")
]
WRONG = {
    "PORT": ["0", "65536", "http"],
    "HOST": ["a b", "http://x", "999.1.1.1", "1.2.3", "::g", "[::1", "::1]"],
    "REDIS_URL": [
        "redis://h:65536",
        "rediss://u:p@h:0/0",
        "redis+sentinel://a:1,b:99999/n/0",
        "redis+cluster://a:70000,b",
    ],
    "WEB_CONCURRENCY": ["0", "two"],
    "OPENAI_BASE_URL": ["localhost:1234"],
    "BATON_SESSION_TTL": ["-1", "1e3", "99999999999", "0"],
    "BATON_PUBLIC_URL": ["chat.example.com", "https://x.test/?a=1", "javascript:alert(1)"],
    "BATON_CHAT_PAGE_URL": ["/chat", "https://x.test/#chat"],
    "BATON_ENGINE": ["magic", "python:nothing", "python:a:b c"],
    "BATON_FALLBACK": ["openai"],
    "BATON_KNOWLEDGE_DIR": ["/no/such/folder"],
    "BATON_WEBHOOK_URL": ["ftp://x.test/"],
    "BATON_WEBHOOK_ALLOW_PRIVATE": ["maybe"],
    "BATON_ENGINE_CONCURRENCY": ["0"],
    "BATON_ENGINE_PER_MINUTE": ["many"],
    "BATON_WAIT_REPLICAS": ["-1"],
    "BATON_MAX_MESSAGE_CHARS": ["0"],
    "BATON_MAX_MESSAGES": ["0.5"],
    "BATON_TRUSTED_PROXIES": ["all"],
    "BATON_LOG_LEVEL": ["loud"],
    "BATON_RATE_LIMIT_CREATE": [
        "often",
        "0 per minute",
        "5 per 0 minutes",
        "9999999999 per day",
        "5 per 99999999 months",
    ],
    "BATON_RATE_LIMIT_SESSION": ["5 per minute; 9 per hour"],
    "BATON_OPENAI_PROMPT_FILE": ["/no/such/file"],
    "BATON_FEEDS_PER_SESSION": ["0"],
    "BATON_DATA_DIR": ["/etc/hostname"],
    "BATON_EMBEDDINGS": ["remote", "1"],
    "BATON_EMBEDDINGS_MODEL_DIR": ["/no/such/folder", "/etc"],
    "BATON_EMBEDDINGS_URL": ["x"],
    "BATON_TITLE": ["x" * 81, "two\nlines"],
    "BATON_GREETING": ["x" * 501, "a\u202eb"],
    "BATON_SUGGESTIONS": ["What?", '{"a": 1}', "[1]", '[""]', '["a","b","c","d","e","f","g","h","i"]', "[" * 50_000],
    "BATON_COLOR": ["blurple", "#12345", "0b6e5f", "#0b6e5f;x", "red;}"],
    "BATON_THEME": ["purple"],
    "BATON_LANG": ["german language", "d", "klingon", "de_"],
    "BATON_ASSISTANT_NAME": ["x" * 61],
    "BATON_LOGO": ["/no/such.png", "http://x.test/logo.png", "/etc/hostname", "javascript:x", "https://"],
    "BATON_CONTACT_URL": ["http://x.test/", "javascript:alert(1)", "help@x.test", "mailto:", "https:// x", "tel:1"],
    "BATON_PAGES": ["demo,chat", "none", ","],
    "BATON_LINK_HOSTS": ["https://x.test", "x.test/path", "*.x.test", "a b", ","],
    "BATON_TYPING_SPEED": ["-1", "fast", "1.5", "1001"],
    "BATON_DESK": ["maybe", "2", "on off"],
    "BATON_QUEUE_TIMEOUT": ["0", "5m"],
    "BATON_ANALYTICS_DAYS": ["0", "4000", "all"],
    "BATON_KEEP_QUESTIONS": ["some"],
    "BATON_EVENTS_URL": ["hooks.example.com", "ftp://x.test/", "https://u:p@x.test/"],
    "BATON_EVENTS_SECRET": ["whsec_", "a" * 40, "whsec_c2hvcnQ=", "whsec_!" + "A" * 32, "whsec_" + "A" * 92],
    "BATON_OIDC_ISSUER": ["login.example.com", "http://login.example.com", "https://x.test/?a=1", "https://x.test/#a"],
    "BATON_OIDC_CLIENT_ID": ["x" * 256],
    "BATON_OIDC_ROLES": ["support", "[]", "{}", '{"support": "boss"}', '{"": "admin"}', '{"a": 1}', '{"a": ["admin"]}'],
}
WRONG_ORIGINS = ["https://u@a.test", r"https://a\.test", "https://a.test:0", "https://a.test:99999", "https://a.test?x"]


def test_defaults_are_those_of_the_contract() -> None:
    """Without any variable the settings are the defaults that the contract names."""
    config = Settings.from_env({})
    durations = (
        config.session_ttl,
        config.session_max_age,
        config.idle_timeout,
        config.ticket_ttl,
        config.engine_timeout,
    )
    assert durations == (86400, 604800, 1800, 300, 60)
    assert (config.engine, config.engine_concurrency, config.engine_per_minute) == ("knowledge", 32, 600)
    assert (config.max_message_chars, config.max_messages) == (4000, 500)
    assert (config.trusted_proxies, config.wait_replicas, config.log_level) == (0, 0, "info")
    rates = (config.rate_limit_create, config.rate_limit_session, config.rate_limit_address)
    assert rates == ("30 per minute", "100 per hour", "120 per minute")
    assert (config.port, config.host, config.web_concurrency) == (8000, "127.0.0.1", 2)
    assert config.redis_url is None
    assert config.allowed_origins is None
    assert (config.public_url, config.chat_page) == ("http://127.0.0.1:8000", "http://127.0.0.1:8000/chat")


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name, values in WRONG.items() for value in values]
    + [("BATON_ALLOWED_ORIGINS", value) for value in WRONG_ORIGINS],
)
def test_a_wrong_value_is_one_line_with_the_variable(name: str, value: str) -> None:
    """A wrong value is refused with one line that begins with the variable and says what it must be."""
    with pytest.raises(ConfigError) as refused:
        Settings.from_env({name: value})
    assert re.fullmatch(rf"{name}: must .+", str(refused.value))


@pytest.mark.parametrize("name", DURATIONS)
@given(text=st.text(min_size=1, max_size=12))
def test_durations_take_whole_positive_seconds_only(name: str, text: str) -> None:
    """Any text is either a whole number of seconds from 1 to a thousand million, or a wrong value; never a crash."""
    trimmed = text.strip()
    wanted = int(trimmed) if re.fullmatch(r"[0-9]{1,10}", trimmed, re.ASCII) else 0
    if not trimmed:
        assert Settings.from_env({name: text}) == Settings.from_env({})
    elif 1 <= wanted <= 1_000_000_000:
        assert getattr(Settings.from_env({name: text}), name.removeprefix("BATON_").lower()) == wanted
    else:
        with pytest.raises(ConfigError):
            Settings.from_env({name: text})


@pytest.mark.parametrize(
    "url", ["http://:hunter2@h", "redis://:hunter2@h h/0", "hunter2", "redis://u:hunter2@h:port/0"]
)
def test_no_secret_is_ever_shown(url: str) -> None:
    """Neither a refused REDIS_URL nor the printed settings show a password or key."""
    with pytest.raises(ConfigError) as refused:
        Settings.from_env({"REDIS_URL": url})
    assert "hunter2" not in str(refused.value)
    names = ("OPENAI_API_KEY", "BATON_API_KEY", "BATON_IDENTITY_SECRET", "BATON_WEBHOOK_SECRET", "BATON_EMBEDDINGS_KEY")
    config = Settings.from_env(
        {"REDIS_URL": "redis://:hunter2@host/0", **dict.fromkeys(names, "hunter2hunter2hunter2")}
    )
    assert "hunter2" not in f"{config!r} {config}"
    assert config.redis_url is not None
    assert config.redis_url.get_secret_value() == "redis://:hunter2@host/0"


@pytest.mark.parametrize(
    "url",
    ["redis://h", "rediss://u:p@h:6380/2?x=1", "unix:///run/r.sock", "redis+sentinel://a:1,b:2/main/0",
     "redis+cluster://:p@a:1,b:2", "redis://[::1]:6379/0", "redis://u:p:99999@h:65535", "unix:///run/r:99999"],
)  # fmt: skip
def test_every_kind_of_redis_address_is_taken(url: str) -> None:
    """The five schemes of the contract are taken as they stand."""
    config = Settings.from_env({"REDIS_URL": url})
    assert config.redis_url is not None
    assert config.redis_url.get_secret_value() == url


def test_origins_become_what_browsers_send() -> None:
    """Origins are trimmed, in lower case, once each, without a default port."""
    given_origins = " HTTPS://WWW.A.test:443 ,http://b.test:8080,https://www.a.test, http://[::1]:3000/"
    config = Settings.from_env({"BATON_ALLOWED_ORIGINS": given_origins})
    assert config.allowed_origins == ("https://www.a.test", "http://b.test:8080", "http://[::1]:3000")


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({"HOST": "0.0.0.0", "PORT": "81"}, "http://127.0.0.1:81"),
        ({"HOST": "[::]"}, "http://127.0.0.1:8000"),
        ({"HOST": "::1"}, "http://[::1]:8000"),
        ({"RAILWAY_PUBLIC_DOMAIN": "x.up.railway.app"}, "https://x.up.railway.app"),
        ({"RAILWAY_PUBLIC_DOMAIN": "x.test", "BATON_PUBLIC_URL": " https://y.test/chat/ "}, "https://y.test/chat"),
    ],
)
def test_the_public_address_is_known_without_asking(environ: dict[str, str], url: str) -> None:
    """The public address is BATON_PUBLIC_URL, else the platform's domain, else the address listened on."""
    assert Settings.from_env(environ).public_url == url


def test_what_visitors_see_is_set_in_one_place(tmp_path: Path) -> None:
    """Each setting of the site's branding is taken as the contract names it; unset, it is the widget's own default."""
    unset = Settings.from_env({})
    assert (unset.title, unset.greeting, unset.suggestions, unset.color, unset.lang) == (None, None, (), None, None)
    assert (unset.theme, unset.assistant_name, unset.logo, unset.contact_url) == ("auto", "Assistant", None, None)
    assert (unset.pages, unset.link_hosts, unset.typing_speed) == (frozenset(PAGES), (), 0)
    logo = tmp_path / "logo.PNG"
    logo.write_bytes(b"\x89PNG")
    config = Settings.from_env(
        {
            "BATON_TITLE": " Grüezi\u00a0! 👩\u200d🚒 ",
            "BATON_SUGGESTIONS": '["What does it cost?", " Wo seid ihr? "]',
            "BATON_COLOR": "#7C3AED",
            "BATON_THEME": "Dark",
            "BATON_LANG": "de-AT",
            "BATON_LOGO": str(logo),
            "BATON_CONTACT_URL": "mailto:help@example.com?subject=Chat",
            "BATON_PAGES": "knowledge, Docs,",
            "BATON_LINK_HOSTS": "Docs.example.com, münchen.de,docs.example.com",
            "BATON_TYPING_SPEED": "25",
        }
    )
    assert (config.title, config.suggestions) == ("Grüezi\u00a0! 👩\u200d🚒", ("What does it cost?", "Wo seid ihr?"))
    assert (config.color, config.theme, config.lang) == ("#7C3AED", "dark", "de-AT")
    assert (config.logo, config.contact_url) == (str(logo), "mailto:help@example.com?subject=Chat")
    assert config.pages == {"knowledge", "docs"}
    assert config.link_hosts == ("docs.example.com", "xn--mnchen-3ya.de")
    assert config.typing_speed == 25
    assert Settings.from_env({"BATON_LOGO": "https://x.test/a.png?v=1"}).logo == "https://x.test/a.png?v=1"
    assert Settings.from_env({"BATON_PAGES": "all"}).pages == frozenset(PAGES)
    assert Settings.from_env({"BATON_CONTACT_URL": "https://x.test/#form"}).contact_url == "https://x.test/#form"


def test_a_large_logo_is_refused(tmp_path: Path) -> None:
    """A logo that is too large for every visitor to fetch is refused at the start."""
    logo = tmp_path / "logo.png"
    logo.write_bytes(bytes(256 * 1024 + 1))
    with pytest.raises(ConfigError, match=r"^BATON_LOGO: must be a file of at most 256 KB"):
        Settings.from_env({"BATON_LOGO": str(logo)})


def test_empty_counts_as_unset_and_switches_limits_off() -> None:
    """An empty variable is its default; an empty rate limit is none."""
    empty = Settings.from_env({env_name(name): " " for name in Settings.model_fields})
    assert (empty.rate_limit_create, empty.rate_limit_session, empty.rate_limit_address) == ("", "", "")
    assert empty == Settings(rate_limit_create="", rate_limit_session="", rate_limit_address="")


@pytest.mark.parametrize("level", ["debug", "INFO", "Warning", "eRRor"])
def test_log_levels_in_any_case(level: str) -> None:
    """Log levels are taken in any case."""
    assert Settings.from_env({"BATON_LOG_LEVEL": level}).log_level == level.lower()


@pytest.mark.parametrize(("engine", "name"), [("webhook", "BATON_WEBHOOK_URL"), ("openai", "OPENAI_API_KEY")])
def test_an_engine_without_what_it_needs_is_refused(engine: str, name: str) -> None:
    """An engine that lacks its address or key is refused at the start, by the variable's name."""
    with pytest.raises(ConfigError, match=f"^{name}: must be set"):
        Settings.from_env({"BATON_ENGINE": engine})


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({"BATON_EVENTS_URL": "https://x.test/"}, "BATON_EVENTS_SECRET"),
        ({"BATON_OIDC_ISSUER": "https://x.test"}, "BATON_OIDC_CLIENT_ID"),
        ({"BATON_OIDC_CLIENT_ID": "baton"}, "BATON_OIDC_ISSUER"),
        (
            {"BATON_OIDC_ISSUER": "https://x.test", "BATON_OIDC_CLIENT_ID": "b", "BATON_OIDC_CLIENT_SECRET": "c"},
            "BATON_OIDC_ROLES",
        ),
    ],
)
def test_settings_that_belong_together_come_together(environ: dict[str, str], name: str) -> None:
    """Events are never posted unsigned, and a login through a provider needs all four settings."""
    with pytest.raises(ConfigError, match=f"^{name}: must be set"):
        Settings.from_env(environ)


def test_the_desks_settings_are_read() -> None:
    """Everything of the desk is off by default; an issuer keeps its slash at the end, as tokens name it."""
    config = Settings.from_env({})
    assert (config.desk, config.keep_questions, config.queue_timeout, config.analytics_days) == (False, False, 300, 90)
    config = Settings.from_env(
        {
            "BATON_DESK": "ON",
            "BATON_EVENTS_URL": "https://hooks.example.com/baton?x=1",
            "BATON_EVENTS_SECRET": "whsec_" + "A" * 32,
            "BATON_OIDC_ISSUER": "http://127.0.0.1:9000/realm/",
            "BATON_OIDC_CLIENT_ID": "baton",
            "BATON_OIDC_CLIENT_SECRET": "s",
            "BATON_OIDC_ROLES": '{"support": "operator", "boss": "admin"}',
        }
    )
    assert config.desk
    assert config.oidc_issuer == "http://127.0.0.1:9000/realm/"
    assert config.oidc_roles == {"support": "operator", "boss": "admin"}


def test_settings_are_frozen() -> None:
    """A setting cannot be changed after the start."""
    with pytest.raises(ValueError, match="frozen"):
        Settings().port = 1


def test_each_setting_is_documented() -> None:
    """The table in docs/operating.md names every variable, and no variable that is none."""
    assert set(documented()) == {env_name(name) for name in Settings.model_fields}


def test_the_documented_defaults_are_the_real_ones() -> None:
    """A default that is a value stands in the table as it is; one that is worked out stands there in words."""
    for field_name, field in Settings.model_fields.items():
        name, shown = env_name(field_name), documented()[env_name(field_name)]
        default = env_example.default_text(name, field.default).strip('"')
        is_path = isinstance(field.default, Path) or field_name == "knowledge_dir"
        if default and not is_path and field.default is not PydanticUndefined:
            assert re.match(rf"`?{re.escape(default)}\b", shown), (name, shown, default)


def documented() -> dict[str, str]:
    """The variables of the table in docs/operating.md, with their defaults."""
    section = (ROOT / "docs" / "operating.md").read_text("utf-8").partition("## Settings")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| `([A-Z_]+)` \| (.*?) \|", section, re.MULTILINE))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BATON_API_KEY", "x"),
        ("BATON_WEBHOOK_SECRET", "fifteen-letters"),
        ("BATON_IDENTITY_SECRET", "short"),
        ("BATON_IDENTITY_SECRET", "2025=old-secret,2026=new-secret"),
        ("BATON_IDENTITY_SECRET", f"2025={'a' * 32},2026=new-secret"),
    ],
)
def test_a_short_secret_is_refused(name: str, value: str) -> None:
    """Each secret has at least 16 characters, also each one of a rotation; the message does not show it."""
    with pytest.raises(ConfigError) as refused:
        Settings.from_env({name: value})
    assert str(refused.value) == f"{name}: must have at least 16 characters"


def test_origins_are_taken_as_browsers_send_them() -> None:
    """A host with other letters becomes punycode, empty parts of the list are ignored, an empty list is refused."""
    settings = Settings.from_env({"BATON_ALLOWED_ORIGINS": "https://münchen.de:8443, ,https://a.example,"})
    assert settings.allowed_origins == ("https://xn--mnchen-3ya.de:8443", "https://a.example")
    with pytest.raises(ConfigError, match="BATON_ALLOWED_ORIGINS: must name at least one origin"):
        Settings.from_env({"BATON_ALLOWED_ORIGINS": ","})


def test_a_misspelt_name_is_found() -> None:
    """A variable that begins with BATON_ and is no setting is reported by its name; so is one that nearly has the name
    of another setting, unless that is set.
    """
    assert unknown_names({"BATON_TICKET_TLL": "9", "BATON_ENGINE": "knowledge", "PATH": "/bin"}) == ["BATON_TICKET_TLL"]
    assert unknown_names({"REDIS_URI": "x", "OPENAI_API_KYE": "x", "REDIS_TLS_URL": "x", "HOSTS": "x"}) == [
        "OPENAI_API_KYE",
        "REDIS_URI",
    ]
    assert unknown_names({"REDIS_URI": "x", "REDIS_URL": "redis://redis"}) == []
    assert misspelling_warnings({"REDIS_URI": "x"}) == [
        "REDIS_URI is no setting of this version; did you mean REDIS_URL?"
    ]


def test_an_env_file_that_nothing_reads_is_told(tmp_path: Path) -> None:
    """A file .env whose settings are not in the environment is named in one line, and no other."""
    assert unread_env_file(tmp_path, {}) == ""
    (tmp_path / ".env").write_text("# BATON_TITLE=x\nOTHER=1\n")
    assert unread_env_file(tmp_path, {}) == ""
    (tmp_path / ".env").write_text("BATON_TITLE=Shop\nPORT=9000\n")
    assert unread_env_file(tmp_path, {}).startswith("The file .env is not read by itself.")
    assert unread_env_file(tmp_path, {"BATON_TITLE": "Shop", "PORT": "9000"}) == ""
