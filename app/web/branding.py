"""The site's branding on the pages: title, logo, colour, theme and language, and the texts around the content."""

from __future__ import annotations

import json
from typing import Any

from flask import Blueprint, Response, request

from app.config import Settings
from app.extensions import services

blueprint = Blueprint("branding", __name__)
INK = "#14161b"
TRANSLATIONS: dict[str, dict[str, str]] = {
    "skip": {"en": "Skip to the content", "de": "Zum Inhalt springen", "ar": "انتقل إلى المحتوى"},
    "site": {"en": "Site", "de": "Seiten", "ar": "الصفحات"},
    "more": {"en": "More", "de": "Mehr", "ar": "المزيد"},
    "chat": {"en": "Chat", "de": "Chat", "ar": "الدردشة"},
    "desk": {"en": "Desk", "de": "Desk", "ar": "مكتب الدعم"},
    "install": {"en": "Install", "de": "Einbauen", "ar": "التثبيت"},
    "api": {"en": "API", "de": "API", "ar": "API"},
    "documents": {"en": "Documents", "de": "Dokumente", "ar": "المستندات"},
    "privacy": {"en": "Privacy", "de": "Datenschutz", "ar": "الخصوصية"},
    "health": {"en": "Health", "de": "Zustand", "ar": "الحالة"},
    "contact": {"en": "Contact", "de": "Kontakt", "ar": "اتصل بنا"},
    "on_this_page": {"en": "On this page", "de": "Auf dieser Seite", "ar": "في هذه الصفحة"},
    "search": {"en": "Search", "de": "Suchen", "ar": "بحث"},
    "search_documents": {
        "en": "Search the documents",
        "de": "In den Dokumenten suchen",
        "ar": "البحث في المستندات",
    },
    "results": {"en": "Results for", "de": "Treffer für", "ar": "نتائج البحث عن"},
    "no_results": {
        "en": "Nothing was found. Other words may help.",
        "de": "Nichts gefunden. Vielleicht helfen andere Wörter.",
        "ar": "لم يُعثر على شيء. جرّب كلمات أخرى.",
    },
    "all_documents": {"en": "All documents", "de": "Alle Dokumente", "ar": "كل المستندات"},
    "no_documents": {
        "en": "There are no documents here yet.",
        "de": "Hier gibt es noch keine Dokumente.",
        "ar": "لا توجد مستندات هنا بعد.",
    },
    "too_long": {
        "en": "This page is too long to be shown to its end.",
        "de": "Diese Seite ist zu lang und wird nicht bis zum Ende gezeigt.",
        "ar": "هذه الصفحة أطول من أن تُعرض كاملة.",
    },
    "nothing_elsewhere": {
        "en": "This page loaded nothing from other hosts and set no cookies.",
        "de": "Diese Seite hat nichts von anderen Servern geladen und kein Cookie gesetzt.",
        "ar": "لم تحمّل هذه الصفحة شيئًا من خادم آخر ولم تضع أي ملف تعريف ارتباط.",
    },
    "noscript": {
        "en": "This chat needs JavaScript. Please allow it for this page and reload: your conversation is kept.",
        "de": "Dieser Chat braucht JavaScript. Bitte erlauben Sie es für diese Seite und laden Sie sie neu: "
        "Ihr Gespräch bleibt erhalten.",
        "ar": "تحتاج هذه الدردشة إلى JavaScript. اسمح به لهذه الصفحة ثم أعد تحميلها: محادثتك محفوظة.",
    },
    "noscript_desk": {
        "en": "The desk needs JavaScript. Please allow it for this page and reload.",
        "de": "Das Desk braucht JavaScript. Bitte erlauben Sie es für diese Seite und laden Sie sie neu.",
        "ar": "يحتاج مكتب الدعم إلى JavaScript. اسمح به لهذه الصفحة ثم أعد تحميلها.",
    },
    "nothing_here": {"en": "There is nothing here", "de": "Hier ist nichts", "ar": "لا يوجد شيء هنا"},
    "went_wrong": {"en": "Something went wrong", "de": "Etwas ist schiefgegangen", "ar": "حدث خطأ ما"},
    "to_start": {"en": "Go to the start page", "de": "Zur Startseite", "ar": "إلى البداية"},
    "to_documents": {"en": "Browse the documents", "de": "In den Dokumenten nachsehen", "ar": "ابحث في المستندات"},
    "error_404": {
        "en": "The address may be mistyped, or the page has moved.",
        "de": "Vielleicht ist die Adresse falsch geschrieben, oder die Seite ist umgezogen.",
        "ar": "ربما كُتب العنوان خطأً أو نُقلت الصفحة.",
    },
    "error_no_page": {
        "en": "There is no such page here. It may have been renamed or removed.",
        "de": "Diese Seite gibt es hier nicht. Vielleicht wurde sie umbenannt oder entfernt.",
        "ar": "لا توجد صفحة كهذه هنا. ربما أُعيدت تسميتها أو أُزيلت.",
    },
    "error_405": {
        "en": "This address does not accept that kind of request.",
        "de": "Diese Adresse nimmt nicht an, was an sie gesendet wurde.",
        "ar": "هذا العنوان لا يقبل ما أُرسل إليه.",
    },
    "error_429": {
        "en": "Too many requests. Please wait a moment and try again.",
        "de": "Zu viele Anfragen. Bitte warten Sie einen Moment und versuchen Sie es noch einmal.",
        "ar": "طلبات كثيرة في وقت قصير. انتظر لحظة ثم حاول مرة أخرى.",
    },
    "error_503": {
        "en": "The service is not available at the moment. Please try again shortly.",
        "de": "Der Dienst ist gerade nicht erreichbar. Bitte versuchen Sie es gleich noch einmal.",
        "ar": "الخدمة غير متاحة الآن. حاول مرة أخرى بعد قليل.",
    },
    "login_title": {"en": "Sign in to the desk", "de": "Anmeldung", "ar": "تسجيل الدخول"},
    "login_done": {
        "en": "You are signed in. The desk opens by itself.",
        "de": "Sie sind angemeldet. Es geht von selbst weiter.",
        "ar": "تم تسجيل دخولك. ستُفتح الصفحة تلقائيًا.",
    },
    "login_failed": {
        "en": "You could not be signed in. Please try again.",
        "de": "Die Anmeldung hat nicht geklappt. Bitte versuchen Sie es noch einmal.",
        "ar": "تعذّر إكمال تسجيل الدخول. حاول مرة أخرى.",
    },
    "login_no_role": {
        "en": "Your account has no role at this desk. Ask whoever runs it.",
        "de": "Ihr Konto hat hier keine Rolle. Bitte wenden Sie sich an die Betreiber.",
        "ar": "ليس لحسابك دور هنا. تواصل مع المسؤول.",
    },
    "to_desk": {"en": "Go to the desk", "de": "Weiter", "ar": "متابعة"},
    "error": {
        "en": "The page could not be shown. Please try again in a moment.",
        "de": "Die Seite konnte nicht angezeigt werden. Bitte versuchen Sie es gleich noch einmal.",
        "ar": "تعذّر عرض الصفحة. حاول مرة أخرى بعد قليل.",
    },
}


def language(tag: str | None) -> str:
    """The language of the texts for a BCP 47 tag; English where there are none in it."""
    base = (tag or "en").partition("-")[0].lower()
    return base if base in TRANSLATIONS["chat"] else "en"


def template_values(config: Settings, *, english: bool = False) -> dict[str, Any]:
    """What templates show of the branding. ``english``: for a page that is written in English alone."""
    lang = "en" if english else language(config.lang)
    return {
        "site": config,
        "brand": config.title or ("" if config.logo else "Baton"),
        "is_own": bool(config.title or config.logo),
        "lang": "en" if english else config.lang or "en",
        "dir": "rtl" if lang == "ar" else "ltr",
        "t": lambda key: TRANSLATIONS[key][lang],
    }


def chat_options(config: Settings) -> dict[str, str | None]:
    """The settings as ``data-`` attributes of the conversation on the full page, with the names of /api/site."""
    return {
        "title": config.title,
        "greeting": config.greeting,
        "suggestions": json.dumps(config.suggestions, ensure_ascii=False) if config.suggestions else None,
        "color": config.color,
        "theme": config.theme if config.theme != "auto" else None,
        "lang": config.lang,
        "assistant_name": config.assistant_name,
        "logo_url": "/logo" if config.logo else None,
        "people": "online" if config.desk else None,
    }


def error_text(status: int, config: Settings) -> str:
    """What an error page says of a status."""
    return TRANSLATIONS.get(f"error_{status}", TRANSLATIONS["error"])[language(config.lang)]


def stylesheet(color: str) -> str:
    """The pages' colours made of one, lighter on a dark ground. The widget on them makes its own of it."""
    lighter = _lighten(color)
    dark = f"--baton:{lighter};--on-baton:{_text_on(lighter)}"
    return (
        f":root{{--baton:{color};--on-baton:{_text_on(color)};--wash:color-mix(in srgb,{color} 20%,var(--paper));"
        "--band:#191c23;--band-ink:#f4f5f7;--band-soft:#aab0bd}"
        f"@media (prefers-color-scheme:dark){{:root:not([data-theme=light]){{{dark}}}}}:root[data-theme=dark]{{{dark}}}"
        "baton-widget{--baton-color-primary:initial;--baton-color-on-primary:initial}"
    )


def _channels(color: str) -> tuple[float, ...]:
    digits = color[1:] if len(color) == 7 else "".join(letter * 2 for letter in color[1:])
    return tuple(int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4))


def _luminance(color: str) -> float:
    """The relative luminance of WCAG 2."""
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in _channels(color))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _text_on(color: str) -> str:
    """White where it has a contrast of 4.5 to 1 on the colour, else nearly black."""
    return "#fff" if 1.05 / (_luminance(color) + 0.05) >= 4.5 else INK


def _lighten(color: str) -> str:
    """The colour, mixed with as much white as it takes to stand out from a dark page."""
    for step in range(11):
        mixed = "#" + "".join(f"{round(255 * (c + (1 - c) * step / 10)):02x}" for c in _channels(color))
        if _luminance(mixed) >= 0.18:
            return mixed
    return "#ffffff"


@blueprint.get("/face.css")
def css() -> Response:
    """The colours of the pages, where BATON_COLOR is set; empty otherwise."""
    color = services().config.color
    response = Response(stylesheet(color) if color else "", content_type="text/css; charset=utf-8")
    response.headers["Cache-Control"] = "public, max-age=60"
    response.add_etag()
    return response.make_conditional(request)  # type: ignore[return-value]
