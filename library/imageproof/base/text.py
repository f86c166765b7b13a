"""Texts that somebody else wrote, made safe and short for a line of ours."""

import json
from collections.abc import Sequence
from unicodedata import category

# Unicode categories: control, format (bidi overrides), surrogate, line and paragraph separator
_INVISIBLE = ("Cc", "Cf", "Cs", "Zl", "Zp")
_ALLOWED = "\t\u200c\u200d"  # tab, and the joiners that some scripts and emoji need

_ESCAPED = {character: f"\\{character}" for character in "\\`*_[]~"}
_ENTITIES = {character: f"&#{ord(character)};" for character in "&<>|$"}
_MARKUP = str.maketrans(_ESCAPED | _ENTITIES)


def printable(text: str) -> str:
    """Escape line breaks and control characters as in JSON, so that no text steers a terminal."""
    if text.isprintable():
        return text
    return "".join(map(_visible, text))


def printable_lines(text: str) -> str:
    """The text as `printable` writes it, but for its line feeds."""
    return "\n".join(map(printable, text.split("\n")))


def markdown(text: str) -> str:
    """The text for a page in Markdown: one line without markup."""
    return printable(text).translate(_MARKUP)


def cut(text: object, width: int) -> str:
    """The text as `printable` writes it, of at most `width` characters."""
    line = printable(str(text))
    if len(line) <= width:
        return line
    return f"{line[: width - 2]} …"


def one_line(text: object, *, width: int = 80) -> str:
    """The text without line breaks, of at most `width` characters."""
    words = str(text).split()
    return cut(" ".join(words), width)


def first_names(names: Sequence[str], count: int = 3) -> str:
    """The first `count` names for a message, cut to 60 characters each; … if there are more."""
    texts = [cut(name, 60) for name in names[:count]]
    if len(names) > count:
        texts.append("…")
    return ", ".join(texts)


def _visible(character: str) -> str:
    if category(character) in _INVISIBLE and character not in _ALLOWED:
        return json.dumps(character)[1:-1]
    return character
