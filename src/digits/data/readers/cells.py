"""A slow, careful look at a CSV that the fast strict reader refused: which cells are bad.

A number is written in the digits 0…9 alone; spaces and tabs around it change nothing.
"""

import io
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import IO

from digits.core.errors import DataError

ALLOWED = "a whole number 0..255 is allowed"
MAX_FINDINGS = 10_000


def lines_of(stream: IO[bytes]) -> Iterator[str]:
    """The lines of a text in UTF-8, without their ends and a byte-order mark; closes the stream."""
    with io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace") as text:
        yield from (line.removesuffix("\n") for line in text)


def faults(path: Path, stream: IO[bytes], names: list[str]) -> list[str]:
    """One finding per bad cell or line below the header, named by line, column and value.

    Of a line with more than `DataError.shown` bad cells the rest are one finding, and so are
    those of a file after MAX_FINDINGS, so that a file of nothing but bad cells stays quick to
    read and small in memory.
    """
    lines = lines_of(stream)
    header = next(lines, "")
    findings: list[str] = []
    for number, line in enumerate(lines, start=2):
        if line.count(",") + 1 != len(names) or header in line:
            findings.append(f"{path}:{number}: {_line_fault(line, header, names)}")
        elif any(map(_cell_fault, cells := line.split(","))):
            findings.extend(_cell_faults(f"{path}:{number}", cells, names))
        if len(findings) > MAX_FINDINGS:
            rest = f"{path}: … and many more; not looked at beyond line {number}"
            return [*findings[: DataError.shown - 1], rest]
    return findings


def _cell_faults(where: str, cells: list[str], names: list[str]) -> list[str]:
    bad = [
        f"{where} column {name}: {fault}"
        for name, cell in zip(names, cells, strict=True)
        if (fault := _cell_fault(cell))
    ]
    hidden = len(bad) - DataError.shown
    rest = [f"{where}: … and {hidden} more bad cells in this line"] if hidden > 0 else []
    return bad[: DataError.shown] + rest


@lru_cache(maxsize=4096)
def _cell_fault(cell: str) -> str | None:
    value = cell.strip(" \t")
    if not value:
        return f"empty cell; {ALLOWED}"
    if not re.fullmatch(r"-?[0-9]+", value):
        return f"{value[:40]!r} is no whole number; {ALLOWED}"
    digits = value.lstrip("0") or "0"
    fits = digits.isdigit() and len(digits) <= 3 and int(digits) <= 255
    return None if fits else f"{value[:40]} is outside 0..255"


def _line_fault(line: str, header: str, names: list[str]) -> str:
    if header in line:
        return "the header stands here again: two files glued together; keep one"
    if not line:
        return "empty line; each line is one image"
    return f"{line.count(',') + 1} cells; {len(names)} are allowed, one per column of the header"
