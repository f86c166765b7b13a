"""The one exception tree of digits: every error is one line per finding and has an exit code."""

import json
from collections.abc import Sequence
from unicodedata import category

from digits.core.addresses import without_credentials

# control, format (bidi overrides), half of a character, line and paragraph separators
_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
_SPELLING = "\t\u200c\u200d"  # tab, and the joiners that some scripts and emoji are spelled with


def printable(text: str) -> str:
    """The text on one line and without power over a terminal: the rest escaped as in JSON."""
    if text.isprintable():
        return text
    return "".join(json.dumps(c)[1:-1] if _is_unseen(c) else c for c in text)


def _is_unseen(character: str) -> bool:
    return category(character) in _UNSEEN and character not in _SPELLING


class DigitsError(Exception):
    """What the user can mend; shown as `error: …` lines, never as a traceback.

    Each finding is one line that says what, where, what was found, what is allowed,
    and a hint where there is one. Addresses in it lose their credentials.
    """

    exit_code = 1
    shown = 20

    def __init__(self, *findings: str) -> None:
        # names and values of files are among them, and addresses
        self.findings: Sequence[str] = [printable(without_credentials(each)) for each in findings]
        super().__init__(*self.findings)

    def __str__(self) -> str:
        hidden = len(self.findings) - self.shown
        lines = [*self.findings[: self.shown], *([f"… and {hidden} more"] if hidden > 0 else [])]
        return "\n".join(lines)


class UsageError(DigitsError):
    """A parameter or argument is unknown, of the wrong type or out of range."""

    exit_code = 2


class DataError(DigitsError):
    """Data cannot be read, or is not what it must be."""

    exit_code = 3


class ServiceError(DigitsError):
    """A tool, server or file system that digits needs does not answer."""

    exit_code = 4


class GateRefusedError(DigitsError):
    """A promotion gate said no; nothing was moved."""

    exit_code = 5


class BusyError(DigitsError):
    """Another process holds what this one needs."""

    exit_code = 6


class IntegrityError(DigitsError):
    """Something recorded is not what is found: a hash, a prediction, a missing artifact."""

    exit_code = 7
