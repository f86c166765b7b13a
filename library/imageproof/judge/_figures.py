"""Every figure of a model once: what it is called and means, and where it is shown.

A line of figures.csv is a figure. `key` is its name in MLflow and in a `Row`. `table`, `in_short`,
`report`, `card` and `history` are its headings in the table of all models, the report's first
table, its statistics, the model card and the command `history`. `format` and `meaning` belong to
`table`. `dvc` and `summary` say whether `dvc metrics diff` and the command `summary` have it. It is
not shown where its cell is empty.
"""

import csv
from pathlib import Path

_TEXT = Path(__file__).with_name("figures.csv").read_text("utf-8")
_FIGURES = [*csv.DictReader(_TEXT.splitlines())]


def column(name: str, by: str = "key") -> dict[str, str]:
    """The cells of a column that are not empty, by those of another one."""
    return {figure[by]: figure[name] for figure in _FIGURES if figure[name]}
