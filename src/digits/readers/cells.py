"""A slow, careful look at a CSV that the fast strict reader refused: which cells are bad."""

import re
from codecs import BOM_UTF8
from functools import lru_cache
from pathlib import Path

from digits.errors import DataError

ALLOWED = "a whole number 0..255 is allowed"


def faults(path: Path, content: bytes, names: list[str]) -> list[str]:
    """One finding per bad cell or line below the header, named by line, column and value.

    Of a line with more than `DataError.shown` bad cells the rest are one finding, so that
    a file of nothing but bad cells stays quick to read and small in memory.
    """
    header, *lines = content.removeprefix(BOM_UTF8).splitlines()
    findings: list[str] = []
    for number, line in enumerate(lines, start=2):
        cells = line.decode("utf-8", "replace").split(",")
        if len(cells) != len(names) or header in line:
            findings.append(f"{path}:{number}: {_line_fault(line, header, cells, names)}")
        elif any(map(_cell_fault, cells)):
            findings.extend(_cell_faults(f"{path}:{number}", cells, names))
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


def _line_fault(line: bytes, header: bytes, cells: list[str], names: list[str]) -> str:
    if header in line:
        return "the header stands here again: two files glued together; keep one"
    if not line:
        return "empty line; each line is one image"
    return f"{len(cells)} cells; {len(names)} are allowed, one per column of the header"
