"""Text that others wrote, before it goes into status, Events, tables, logs and error lines.

Whoever writes an account's name, an exemption's reason, an answer of AWS or a proxy's error page writes into other
people's terminals and logs: escape sequences move the cursor, line breaks forge log records, direction marks turn words
around. Answers of AWS and URLs of proxies may also hold secrets. Pure.
"""

from __future__ import annotations

import re
import unicodedata

MAX_READ = 16_384
"""Characters that are read; the rest is dropped."""
MAX_NAME = 256
"""Characters of a name, or of another short text."""
MAX_ERROR = 1_000
"""Characters of an error."""
MAX_START = 64
"""Characters that are shown of a longer word than is read."""
ELLIPSIS = "…"

# Sequences as terminals read them (ECMA-48): those with parameters, strings with an end, and two characters.
_ESCAPE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]{0,64}[ -/]{0,8}[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]{0,256}(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]{0,4}[0-~]?"
)
_INVISIBLE = frozenset({"Cc", "Cf"})

_SECRETS = (
    (re.compile(r"(?i)(encoded authorization failure message:?\s*)\S+"), rf"\1{ELLIPSIS}"),
    # SignatureDoesNotMatch repeats the whole request as it was signed, with the session token.
    (re.compile(r"(?is)\bthe (?:canonical string for this request|string-to-sign) should have been\b.*"), ELLIPSIS),
    (re.compile(r"\b(AKIA|ASIA)[A-Z0-9]{8,128}"), rf"\1{ELLIPSIS}"),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?"), ELLIPSIS),
    (re.compile(r"\b(?:IQoJ|FwoG|FQoG)[\w/+=]{16,}"), ELLIPSIS),
    (re.compile(r"(?i)\b(bearer\s+)[\w.~+/=-]{16,}"), rf"\1{ELLIPSIS}"),
    (
        re.compile(
            r"(?i)\b((?:x-amz-)?(?:security|session|identity)[-_]?token|(?:x-amz-)?signature"
            r"|(?:aws[-_]?)?secret[-_]?(?:access[-_]?)?key|client[-_]?secret|secret|password|passwd)"
            r"([\"']?\s{0,8}[=:]\s{0,8}[\"']?)[^\s\"'&,;<>]+"
        ),
        rf"\1\2{ELLIPSIS}",
    ),
)
_WORD = re.compile(r"[^\s\"'<>]+")
_LAST_WORD = re.compile(r"(?<!\S)\S+\Z")
_PORT = re.compile(r"(?:\[[0-9A-Fa-f:.]*\]|[^:]*):[0-9]*")


def one_line(text: str, limit: int = MAX_NAME) -> str:
    """One line of visible characters, at most `limit`.

    White space becomes one space; control characters, escape sequences, direction marks and other invisible ones go.
    Characters that cannot be written (lone surrogates) or have no meaning agreed on become U+FFFD. Text that is one
    line already comes back as it is.
    """
    text = text[:MAX_READ]
    if not text.isprintable():
        text = "".join(_shown(character) for character in _ESCAPE.sub("", text))
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1].rstrip() + ELLIPSIS


def error_text(text: str, limit: int = MAX_ERROR) -> str:
    """One line of an error that may quote requests, credentials or URLs: see `one_line` and `without_secrets`."""
    return one_line(without_secrets(text), limit)


def without_secrets(text: str) -> str:
    """The text without what AWS and HTTP clients quote and nobody should read: an ellipsis stands in its place.

    Encoded authorization messages, signed requests, tokens, keys, and what stands before the @ in a URL.
    """
    if len(text) > MAX_READ:
        # The last word may be the first half of a secret, which would not be recognised.
        whole = _LAST_WORD.sub("", text[:MAX_READ])
        text = whole or text[:MAX_START].partition("://")[0]
    text = _WORD.sub(lambda found: _without_user(found[0]), text)
    for pattern, shown in _SECRETS:
        text = pattern.sub(shown, text)
    return text


def cell(text: str) -> str:
    """A CSV cell that no spreadsheet takes for a formula: an apostrophe goes before what begins like one."""
    return f"'{text}" if text.startswith(_FORMULA) else text


_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001 - full width, read alike


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    if character.isspace():
        return " "
    return "" if unicodedata.category(character) in _INVISIBLE else "\ufffd"


def _without_user(url: str) -> str:
    """The word; where it is a URL, without user and password, also where the password holds a slash or an @."""
    if "://" not in url:
        return url
    scheme, _, rest = url.partition("://")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    hidden = "@" in authority or ("@" in rest and ":" in authority and not _PORT.fullmatch(authority))
    return f"{scheme}://{ELLIPSIS}@{rest.rpartition('@')[2]}" if hidden else url
