"""Addresses of services, and texts that hold them, without credentials."""

import re
from functools import partial
from urllib.parse import quote, quote_plus, unquote, unquote_plus

HIDDEN = "***"

# host, port and path: all that may follow the credentials
_PLACE = re.compile(r"([\w.-]+|\[[\da-fA-F:.]+\])?(:\d{1,5})?(/[^@?#;&=]*)?")
_CREDENTIALS = re.compile(r"(?<!sqlite)://\S*@")
_QUERY = re.compile(r"(://[^\s?]*)\?[^\s'\")]+")
# Shorter secrets also occur inside ordinary words: they are hidden only as whole words.
_SHORT = 4


def public(address: str) -> str:
    """An address without user, password, query and fragment.

    Only the scheme is left if it is unclear where the credentials end: a password may have a slash.
    """
    scheme, separator, rest = address.partition("://")
    if not separator or not re.fullmatch(r"\w[\w+.-]*", scheme):
        return HIDDEN
    if scheme == "sqlite" and rest.startswith("/") and "?" not in rest:
        return address  # a file needs no credentials, and its name may contain any character
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    after_credentials = rest[authority.rfind("@") + 1 :]
    place = re.split(r"[?#]", after_credentials, maxsplit=1)[0]
    certain = "@" not in after_credentials and _PLACE.fullmatch(place)
    return f"{scheme}://{place if certain else HIDDEN}"


def without_credentials(text: str, *addresses: str) -> str:
    """Replace the credentials in a text by `***`.

    These are the credentials of every address in the text, and every part of the credentials of
    `addresses`: libraries quote such parts in their messages, differently encoded or cut.
    """
    for address in addresses:
        for secret in sorted(_secrets(address), key=len, reverse=True):
            pattern = re.escape(secret)
            if len(secret) < _SHORT:
                pattern = rf"(?<!\w){pattern}(?!\w)"
            text = re.sub(pattern, HIDDEN, text, flags=re.IGNORECASE)
    return _QUERY.sub(rf"\1?{HIDDEN}", _CREDENTIALS.sub(f"://{HIDDEN}@", text))


def _secrets(address: str) -> set[str]:
    """User, password and query values: whole and in parts, as written, decoded and encoded."""
    rest = address.partition("://")[2] or address
    user = rest.rpartition("@")[0]
    values = re.findall(r"=([^&;]*)", rest.partition("?")[2])
    wholes = [user, user.partition(":")[2], *values]
    decoded = [decode(whole) for whole in wholes for decode in (str, unquote, unquote_plus)]
    parts = {part for text in decoded for part in (text, *re.split(r"[:@/?#&=;\s]+", text))}
    encoders = (str, partial(quote, safe=""), quote_plus)
    return {encode(part) for part in parts for encode in encoders} - {""}
