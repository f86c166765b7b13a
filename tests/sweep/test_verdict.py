"""The end of a sweep: how far the best settings are from the defaults, and the command."""

import math

import pytest

from digits.sweep.verdict import Verdict, command


def test_distance_is_the_difference_of_means_over_its_standard_error() -> None:
    verdict = Verdict(best=[0.90, 0.92, 0.94], default=[0.80, 0.84, 0.82])
    assert verdict.difference == pytest.approx(0.10)
    assert verdict.standard_error == pytest.approx(math.sqrt(0.0004 / 3 + 0.0004 / 3))
    assert verdict.distance == pytest.approx(0.10 / verdict.standard_error)
    assert str(verdict).startswith("val_accuracy 0.9200 against 0.8200 by default: +0.1000, +6.1 ")


@pytest.mark.parametrize(("best", "distance"), [(0.5, 0.0), (0.6, math.inf), (0.4, -math.inf)])
def test_distance_without_any_spread(best: float, distance: float) -> None:
    assert Verdict(best=[best] * 3, default=[0.5] * 3).distance == distance


def test_command_is_ready_for_a_shell() -> None:
    values = {"fit.epochs": 3, "build.units": [8, 4, 2], "optimizer.name": "adam"}
    assert command("mlp", values) == (
        "dvc exp run -S train.mlp.fit.epochs=3 -S 'train.mlp.build.units=[8, 4, 2]'"
        " -S 'train.mlp.optimizer.name=\"adam\"'"
    )
