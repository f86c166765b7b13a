"""Addresses of services, and texts that hold them, without credentials."""

import re
from urllib.parse import unquote_plus

HIDDEN = "***"

# host, port and path: all that may follow the credentials
_PLACE = re.compile(r"([\w.-]+|\[[\da-fA-F:.]+\])?(:\d{1,5})?(/[^@?#;&=]*)?")


def public(address: str) -> str:
    """An address without user, password, query and fragment."""
    scheme, separator, rest = address.partition("://")
    if not separator or not re.fullmatch(r"\w[\w+.-]*", scheme):
        return HIDDEN
    if scheme == "sqlite" and rest.startswith("/") and "?" not in rest:
        return address  # a file needs no credentials, and its name may contain any character
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    after_credentials = rest[authority.rfind("@") + 1 :]
    place = re.split(r"[?#]", after_credentials, maxsplit=1)[0]
    # only the scheme is left if it is unclear where a password ends, which may have a slash
    certain = "@" not in after_credentials and _PLACE.fullmatch(place)
    return f"{scheme}://{place if certain else HIDDEN}"


def without_credentials(text: str, address: str = "") -> str:
    """Replace the credentials of every address in the text, and of `address`, by `***`."""
    if not address and "://" not in text:
        return text  # mostly, of a million findings, say
    rest = address.partition("://")[2]
    user = rest.rpartition("@")[0]
    secrets = [user, user.partition(":")[2], *re.findall(r"=([^&;]*)", rest.partition("?")[2])]
    # libraries quote parts of an address in their messages, as written or decoded
    parts = {part for secret in secrets for part in (secret, *re.split(r"[:@/?#&=;]", secret))}
    for part in sorted(parts | {*map(unquote_plus, parts)}, key=len, reverse=True):
        if len(part) >= 4:  # shorter ones also occur inside ordinary words
            text = text.replace(part, HIDDEN)
    text = re.sub(r"(?<!sqlite)://\S*@", f"://{HIDDEN}@", text)
    return re.sub(r"(://[^\s?]*)\?[^\s'\")]+", rf"\1?{HIDDEN}", text)
