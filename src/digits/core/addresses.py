"""Addresses of services: what of one may be recorded or shown, and texts without credentials."""

import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus, unquote, unquote_plus

HIDDEN = "***"

# After the credentials there may be a host, a port and a path, and nothing else.
_PLACE = re.compile(r"([\w.-]+|\[[\da-fA-F:.]+\])?(:\d{1,5})?(/[^@?#;&=]*)?")
_CREDENTIALS = re.compile(r"(?<!sqlite)://\S*@")
_QUERY = re.compile(r"(://[^\s?]*)\?[^\s'\")]+")
# Shorter parts are words, too, and are hidden only where they stand alone.
_PART_OF_WORDS = 4


def public(address: str) -> str:
    """Scheme, host, port and path of an address; the scheme alone where these are not certain.

    User, password, query and fragment are left out. An `@` behind the host, such as that of a
    password with a slash, makes it uncertain where the credentials end.
    """
    scheme, separator, rest = address.partition("://")
    if not separator or not re.fullmatch(r"\w[\w+.-]*", scheme):
        return HIDDEN
    if scheme == "sqlite" and rest.startswith("/") and "?" not in rest:
        return address  # a file has no credentials, and any character may be in its name
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    place = rest[authority.rfind("@") + 1 :]
    shown = re.split(r"[?#]", place, maxsplit=1)[0]
    return f"{scheme}://{shown if '@' not in place and _PLACE.fullmatch(shown) else HIDDEN}"


def without_credentials(text: str, *addresses: str) -> str:
    """The text with credentials starred out: of any address in it, and any part of `addresses`'.

    Libraries repeat parts of an address in their messages, in other encodings, or cut at another
    `@` than was meant.
    """
    for address in addresses:
        for secret in sorted(_secrets(address), key=len, reverse=True):
            found = re.escape(secret)
            alone = rf"(?<!\w){found}(?!\w)"
            pattern = found if len(secret) >= _PART_OF_WORDS else alone
            text = re.sub(pattern, HIDDEN, text, flags=re.IGNORECASE)
    return _QUERY.sub(rf"\1?{HIDDEN}", _CREDENTIALS.sub(f"://{HIDDEN}@", text))


def _secrets(address: str) -> set[str]:
    """Whole and in parts, as written, decoded and encoded: user, password, values of the query."""
    rest = address.partition("://")[2] or address
    user = rest.rpartition("@")[0]
    values = re.findall(r"=([^&;]*)", rest.partition("?")[2])
    wholes = [user, user.partition(":")[2], *values]
    decoded = [decode(whole) for whole in wholes for decode in (str, unquote, unquote_plus)]
    parts = {*decoded, *_parts(decoded)}
    return {encode(part) for part in parts for encode in (str, _quoted, quote_plus)} - {""}


def _parts(texts: Iterable[str]) -> Iterable[str]:
    return (part for text in texts for part in re.split(r"[:@/?#&=;\s]+", text))


def _quoted(text: str) -> str:
    return quote(text, safe="")
