"""The exceptions of this library: one line per finding, and an exit code."""

import json
from collections.abc import Sequence
from unicodedata import category

from imageproof.base.addresses import without_credentials

# Unicode categories: control, format (bidi overrides), surrogate, line and paragraph separator
_INVISIBLE = ("Cc", "Cf", "Cs", "Zl", "Zp")
MAX_LINES = 20
_MARKUP = str.maketrans({c: f"\\{c}" for c in "\\`*_[]~"} | {c: f"&#{ord(c)};" for c in "&<>|"})
_ALLOWED = "\t\u200c\u200d"  # tab, and the joiners that some scripts and emoji need


def printable(text: str) -> str:
    """Escape line breaks and control characters as in JSON, so that no text steers a terminal."""
    if text.isprintable():
        return text
    invisible = {c for c in text if category(c) in _INVISIBLE and c not in _ALLOWED}
    return "".join(json.dumps(c)[1:-1] if c in invisible else c for c in text)


def markdown(text: str) -> str:
    """A text that somebody else wrote, for a page in Markdown: one line without markup."""
    return printable(text).translate(_MARKUP)


def cut(text: object, width: int) -> str:
    """A text as `printable` writes it, of at most `width` characters."""
    line = printable(str(text))
    return line if len(line) <= width else f"{line[: width - 2]} …"


def some(names: Sequence[str], most: int = 3) -> str:
    """The first names, for a message."""
    return ", ".join([*(cut(name, 60) for name in names[:most]), *["…"] * (len(names) > most)])


def one_line(text: object, *, width: int = 80) -> str:
    return cut(" ".join(str(text).split()), width)


class ImageproofError(Exception):
    """An error that the user can fix, printed as one `error: …` line per finding."""

    exit_code = 1

    def __init__(self, *findings: str) -> None:
        self.findings: Sequence[str] = [printable(without_credentials(each)) for each in findings]
        super().__init__(*self.findings)

    def __str__(self) -> str:
        hidden = len(self.findings) - MAX_LINES
        more = [f"… and {hidden} more"] if hidden > 0 else []
        return "\n".join([*self.findings[:MAX_LINES], *more])


class UsageError(ImageproofError):
    """A parameter or argument is unknown, of the wrong type or out of range."""

    exit_code = 2


class DataError(ImageproofError):
    """Data cannot be read, or has other content than it must have."""

    exit_code = 3


class ServiceError(ImageproofError):
    """A tool, server or file system that is needed does not answer."""

    exit_code = 4


class GateRefusedError(ImageproofError):
    """The promotion gate refused; no alias was moved."""

    exit_code = 5


class BusyError(ImageproofError):
    """Another process holds a lock that this one needs."""

    exit_code = 6


class IntegrityError(ImageproofError):
    """A hash, prediction or artifact differs from its record, or is missing."""

    exit_code = 7


class AnswersError(IntegrityError):
    """A model fails when it is asked, or answers no probabilities."""
