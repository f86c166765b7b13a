"""The exceptions of this library: one line per finding, and an exit code."""

from collections.abc import Sequence

from imageproof.base._addresses import without_credentials
from imageproof.base.text import printable


class ImageproofError(Exception):
    """An error that the user can fix, printed as one `error: …` line per finding."""

    exit_code = 1
    max_lines = 20

    def __init__(self, *findings: str) -> None:
        texts = map(without_credentials, findings)
        self.findings: Sequence[str] = [*map(printable, texts)]
        super().__init__(*self.findings)

    def __str__(self) -> str:
        lines = [*self.findings[: self.max_lines]]
        if (left_out := len(self.findings) - self.max_lines) > 0:
            lines.append(f"… and {left_out} more")
        return "\n".join(lines)


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
    """The promotion gate refused, or could not decide; no alias was moved."""

    exit_code = 5


class BusyError(ImageproofError):
    """Another process holds a lock that this one needs, or keeps the processors busy."""

    exit_code = 6


class IntegrityError(ImageproofError):
    """A hash, prediction or artifact differs from its record, or is missing."""

    exit_code = 7


class AnswersError(IntegrityError):
    """A model fails when it is asked, or answers no probabilities."""
