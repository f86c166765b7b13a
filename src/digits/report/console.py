"""What `digits results`, `run` and `summary` print."""

from collections.abc import Sequence
from math import isnan
from typing import TYPE_CHECKING

from digits.artifacts import COMPARISON, EvaluateOutputs
from digits.evaluation.leaderboard import MEANINGS, Comparison, cells
from digits.toolkit.console import print_json, print_table
from digits.toolkit.errors import printable
from digits.toolkit.files import read_json
from digits.toolkit.pipeline.provenance import check_outputs

if TYPE_CHECKING:  # it imports SciPy, which takes a second
    from digits.evaluation.seeds import Group, Spread


def print_results() -> None:
    check_outputs([COMPARISON])
    comparison = read_json(COMPARISON, Comparison)
    columns = cells(comparison.models)  # one per model, so that it fits a narrow terminal
    names = [column.pop("model") for column in columns]
    rows = ([key, *(column[key] for column in columns)] for key in columns[0])
    print_table(["", *names], rows, justify="right")
    for heading, meaning in MEANINGS.items():
        print(f"{heading}: {meaning}")
    print("", *map(printable, comparison.verdicts), sep="\n")
    print("\nmake report shows everything on one page, make ui the runs side by side.")


def print_accuracy(model: str) -> None:
    accuracy = EvaluateOutputs(model).read_metrics()["test"]["accuracy"]
    print(f"{model}: test accuracy {accuracy:.4f}; `digits run` compares it with the others")


def print_summary(groups: "Sequence[Group]", *, as_json: bool) -> None:
    from digits.evaluation.seeds import as_dicts

    if as_json:
        print_json(as_dicts(groups))
        return
    headings = "measure", "n", "mean", "sd", "minimum", "95 % interval of the mean"
    for group in groups:
        seeds = ", ".join(group.seeds)
        print(printable(f"{group.label}: runs that differ in the seed only ({seeds})"))
        measures = group.measures.items()
        print_table(headings, ([name, *_spread(spread)] for name, spread in measures))
    print("n/a: a single run, or trained on shared cores")


def _spread(spread: "Spread") -> list[str]:
    values = (spread.mean, spread.sd, spread.minimum, spread.low, spread.high)
    mean, sd, minimum, low, high = ("n/a" if isnan(x) else f"{x:.4f}" for x in values)
    return [str(spread.n), mean, sd, minimum, f"{low} to {high}"]
