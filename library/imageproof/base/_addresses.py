"""Addresses of services, and texts that hold them, without credentials."""

import re
from urllib.parse import unquote_plus

HIDDEN = "***"

# host, port and path: all that may follow the credentials
_PLACE = re.compile(r"([\w.-]+|\[[\da-fA-F:.]+\])?(:\d{1,5})?(/[^@?#;&=]*)?")
_SHORTEST_SECRET = 4  # characters; shorter ones also occur inside ordinary words


def public(address: str) -> str:
    """An address without user, password, query and fragment."""
    scheme, separator, location = address.partition("://")
    if not separator or not re.fullmatch(r"\w[\w+.-]*", scheme):
        return HIDDEN
    if scheme == "sqlite" and location.startswith("/") and "?" not in location:
        return address  # a file needs no credentials, and its name may contain any character
    authority = re.split(r"[/?#]", location, maxsplit=1)[0]
    after_credentials = location[authority.rfind("@") + 1 :]
    place = re.split(r"[?#]", after_credentials, maxsplit=1)[0]
    # only the scheme is left if it is unclear where a password ends, which may have a slash
    if "@" in after_credentials or not _PLACE.fullmatch(place):
        place = HIDDEN
    return f"{scheme}://{place}"


def without_credentials(text: str, address: str = "") -> str:
    """Replace the credentials of every address in the text, and of `address`, by `***`."""
    if not address and "://" not in text:
        return text  # mostly, of a million findings, say
    location = address.partition("://")[2]
    user = location.rpartition("@")[0]
    password = user.partition(":")[2]
    query = location.partition("?")[2]
    secrets = {user, password, *re.findall(r"=([^&;]*)", query)}
    # libraries quote parts of an address in their messages, as written or decoded
    for secret in [*secrets]:
        secrets.update(re.split(r"[:@/?#&=;]", secret))
    secrets.update([*map(unquote_plus, secrets)])
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, HIDDEN)
    text = re.sub(r"(?<!sqlite)://\S*@", f"://{HIDDEN}@", text)
    return re.sub(r"(://[^\s?]*)\?[^\s'\")]+", rf"\1?{HIDDEN}", text)
