"""What every such project needs; it imports nothing of the project, which gives it values.

`project.Project` says what these are: blocks of params.yaml.
"""

import sys
from types import TracebackType


def _report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """A module with git's markers, as `update` leaves them, ends any program with a line."""
    if isinstance(error, SyntaxError):
        print(f"error: {error.filename}:{error.lineno}: {error.msg}; mend it", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _report
