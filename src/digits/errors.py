"""The one exception tree of digits: every error is one line per finding and has an exit code."""

from collections.abc import Sequence


class DigitsError(Exception):
    """What the user can mend; shown as `error: …` lines, never as a traceback.

    Each finding is one line that says what, where, what was found, what is allowed,
    and a hint where there is one.
    """

    exit_code = 1
    shown = 20

    def __init__(self, *findings: str) -> None:
        super().__init__(*findings)
        self.findings: Sequence[str] = findings

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
