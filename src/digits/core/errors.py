"""The exceptions of digits: one line per finding, an exit code. Waiting for a service."""

import json
import sys
import time
from collections.abc import Callable, Sequence
from textwrap import shorten
from typing import TypeVar
from unicodedata import category

from digits.core.addresses import without_credentials

# Unicode categories: control, format (bidi overrides), surrogate, line and paragraph separator
_INVISIBLE = ("Cc", "Cf", "Cs", "Zl", "Zp")
_ALLOWED = "\t\u200c\u200d"  # tab, and the joiners that some scripts and emoji need

PATIENCE_S = 120.0
PAUSE_S = 2.0  # between two tries while a service is away

T = TypeVar("T")


def printable(text: str) -> str:
    """Escape line breaks and control characters as in JSON, so that no text steers a terminal."""
    if text.isprintable():
        return text
    invisible = {c for c in text if category(c) in _INVISIBLE and c not in _ALLOWED}
    return "".join(json.dumps(c)[1:-1] if c in invisible else c for c in text)


def one_line(text: object, *, width: int = 80) -> str:
    """Shorten a text to one line, to quote it in a finding."""
    return shorten(str(text), width, placeholder=" …")


class DigitsError(Exception):
    """An error that the user can fix, printed as `error: …` lines without a traceback.

    Each finding is one line: where, what was found, what is allowed, and how to fix it.
    Credentials in it are replaced by `***`, control characters are escaped.
    """

    exit_code = 1
    max_lines = 20

    def __init__(self, *findings: str) -> None:
        self.findings: Sequence[str] = [printable(without_credentials(each)) for each in findings]
        super().__init__(*self.findings)

    def __str__(self) -> str:
        hidden = len(self.findings) - self.max_lines
        more = [f"… and {hidden} more"] if hidden > 0 else []
        return "\n".join([*self.findings[: self.max_lines], *more])


class UsageError(DigitsError):
    """A parameter or argument is unknown, of the wrong type or out of range."""

    exit_code = 2


class DataError(DigitsError):
    """Data cannot be read, or has other content than it must have."""

    exit_code = 3


class ServiceError(DigitsError):
    """A tool, server or file system that digits needs does not answer."""

    exit_code = 4


class GateRefusedError(DigitsError):
    """The promotion gate refused; no alias was moved."""

    exit_code = 5


class BusyError(DigitsError):
    """Another process holds a lock that this one needs."""

    exit_code = 6


class IntegrityError(DigitsError):
    """A hash, prediction or artifact differs from its record, or is missing."""

    exit_code = 7


def _trying_again(error: Exception, wait_s: float) -> str:
    told = f"{error}; trying again for up to {wait_s:g} s"
    return told if isinstance(error, ServiceError) else ""


def patiently(
    work: Callable[[], T],
    *,
    away: Callable[[Exception, float], str] = _trying_again,
    wait_s: float | None = None,
) -> T:
    """Do work that may be done twice; while a service is away, do it again, and say so in one line.

    Args:
        away: Gets an error and `wait_s`, gives that line; empty if no waiting mends the error.
            Default: every ServiceError is waited for.
        wait_s: How long; default: PATIENCE_S.

    Raises:
        Exception: the work failed for another reason, or the service did not come back.
    """
    limit, since = PATIENCE_S if wait_s is None else wait_s, 0.0
    while True:
        try:
            return work()
        except Exception as error:
            now = time.monotonic()
            if not (line := away(error, limit)) or now - (since or now) >= limit:
                raise
            if not since:
                since = now
                print(f"warning: {line}", file=sys.stderr, flush=True)
        time.sleep(PAUSE_S)
