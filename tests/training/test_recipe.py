"""What a recipe may ask of a training: schedule, optimizer, weights, loss, stop, what to keep."""

import math
import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import finding
from support import REPOSITORY, SMALL, write_params
from test_fit import fingerprint, fit, recipe

from digits.training.recipe import FitParams
from imageproof.artifacts import WORKSPACE
from imageproof.base.dataset import Dataset
from imageproof.base.errors import UsageError

pytestmark = pytest.mark.usefixtures("tensorflow")

LOSSES = [0.9, 0.5, 0.6, 0.49, 0.7, 0.8]


def history(key: str = "val_loss") -> list[dict[str, float]]:
    return [{key: loss} for loss in LOSSES]


def params(**changes: Any) -> FitParams:
    return FitParams(epochs=9, batch_size=9, **changes)


@pytest.fixture(scope="module")
def plain(tensorflow: None, images_8x8: Dataset) -> str:
    """The fingerprint of a training with nothing changed."""
    return fingerprint(fit(images_8x8).model)


class TestEarlyStopping:
    @pytest.mark.parametrize(
        ("rule", "best"),
        [({}, 3), ({"min_delta": 0.05}, 1), ({"monitor": "val_accuracy"}, 0)],
        ids=str,
    )
    def test_best_epoch_gains_more_than_the_minimum(self, rule: dict[str, Any], best: int) -> None:
        rule = {"monitor": "val_loss", "patience": 9, **rule}
        assert params(early_stopping=rule).best_epoch(history(rule["monitor"])) == best

    def test_patience_counts_anew_in_a_second_phase(self) -> None:
        rule, of = params(early_stopping={"patience": 2}), history()
        assert [rule.stops(of[:n], since=0) for n in range(7)] == [False] * 6 + [True]
        assert [rule.stops(of[:n], since=4) for n in (4, 5, 6)] == [False, False, True]
        assert not rule.stops(of, since=5)  # though the best epoch of all is two before the last
        assert not params(keep="best").stops(of * 9, since=0)

    def test_the_weights_of_the_best_epoch_are_kept(self, images_8x8: Dataset) -> None:
        # so large a rate that the last epochs are not the best ones
        rough = {"train.mlp.optimizer.learning_rate": 0.02, "train.mlp.fit.batch_size": 20}
        rule = {"train.mlp.fit.early_stopping": {"patience": 4, "monitor": "val_accuracy"}}
        best = {"train.mlp.fit.keep": "best"}
        asked = recipe(**rough, **rule, **best, **{"train.mlp.fit.epochs": 60})
        kept = fit(images_8x8, recipe=asked)
        accuracies = [epoch["val_accuracy"] for epoch in kept.history]
        epoch = asked.fit.kept_epoch(kept.history)
        assert len(accuracies) == epoch + 1 + 4 < 60
        assert accuracies[epoch] == max(accuracies) > accuracies[-1]
        validation = images_8x8.take(np.arange(250, 350))
        answers = kept.model.predict(validation.images, verbose=0).argmax(axis=1)
        assert (answers == validation.labels).mean() == pytest.approx(accuracies[epoch])
        shorter = {"train.mlp.fit.epochs": epoch + 1}
        asked = recipe(**rough, **shorter)
        assert fingerprint(fit(images_8x8, recipe=asked).model) == fingerprint(kept.model)


class TestSchedules:
    @pytest.mark.parametrize(
        ("schedule", "expected"),
        [
            ({"name": "constant"}, [1, 1, 1]),
            ({"name": "cosine"}, [1, 0.5, 0]),
            ({"name": "cosine", "warmup": 0.5}, [1 / 25, 1, 0]),
            ({"name": "exponential", "decay_rate": 0.01}, [1, 0.1, 0.01]),
        ],
        ids=lambda schedule: schedule.get("name") if isinstance(schedule, dict) else "",
    )
    def test_rate_at_start_half_way_and_end(
        self, schedule: dict[str, Any], expected: list[float]
    ) -> None:
        from digits.training.fit import learning_rate

        config = recipe(**{"train.mlp.schedule": schedule}).schedule.config
        rate = learning_rate(2.0, steps=100, **config)
        rates = [float(rate(step)) if callable(rate) else rate for step in (0, 50, 100)]
        assert rates == pytest.approx([2 * factor for factor in expected], abs=1e-6)

    def test_warmup_leaves_a_step(self, images_8x8: Dataset) -> None:
        chosen = {"name": "cosine", "warmup": 0.9}
        once = {"epochs": 1, "batch_size": 250}
        asked = recipe(**{"train.mlp.schedule": chosen, "train.mlp.fit": once})
        assert len(fit(images_8x8, recipe=asked).history) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer.weight_decay": 0.1},
        {"optimizer.momentum": 0.9},
        {"optimizer.clipnorm": 0.01},
        {"optimizer.gradient_accumulation_steps": 2},
        {"schedule": {"name": "cosine", "warmup": 0.5}},
        {"augment": {"shift": 1.0}},
        {"seed": 1},
    ],
    ids=str,
)
def test_setting_reaches_the_training(
    images_8x8: Dataset, plain: str, changes: dict[str, Any]
) -> None:
    settings = {"seed": changes.pop("seed", 42)}
    asked = recipe(**{f"train.mlp.{key}": value for key, value in changes.items()})
    assert fingerprint(fit(images_8x8, recipe=asked, **settings).model) != plain


class TestClassWeights:
    def test_balanced_weights_are_those_of_scikit_learn(self) -> None:
        from imageproof.keras.networks import class_weights

        labels = np.array([0] * 6 + [1] * 3 + [2])
        # rows / (classes · rows of the class)
        expected = pytest.approx([10 / 18, 10 / 9, 10 / 3])
        assert class_weights("balanced", labels, classes=3) == expected
        assert class_weights("balanced", labels, classes=4)[3] == 0
        assert class_weights({1: 2.0}, labels, classes=3) == [1, 2, 1]

    def test_unknown_class_is_refused(self, images_8x8: Dataset) -> None:
        # a search and DVC's -S give class numbers as text
        chosen = recipe(**{"train.mlp.fit.class_weights": {"12": 2.0}})
        line = finding(UsageError, lambda: fit(images_8x8, recipe=chosen))
        assert line == "fit.class_weights: class 12 is not one of 0…9"

    @pytest.mark.parametrize(
        "weights", ["equal", {1: 0.0}, {-1: 1.0}, {1: math.nan}, {1: 10**400}, {1: True}]
    )
    def test_other_than_weights_is_refused(self, weights: Any) -> None:
        line = finding(UsageError, lambda: recipe(**{"train.mlp.fit.class_weights": weights}))
        assert line == (
            "params.yaml train.mlp.fit.class_weights: `balanced`, or a mapping from class numbers "
            "to weights above 0, at most 1,000,000, is allowed"
        )


def test_diverging_training_ends_at_once(images_8x8: Dataset) -> None:
    rough = recipe(**{"train.mlp.optimizer.learning_rate": 1e20, "train.mlp.fit.epochs": 9})
    epochs: list[Any] = []
    train = partial(fit, images_8x8, recipe=rough, on_epoch=lambda *epoch: epochs.append(epoch))
    assert finding(UsageError, train) == (
        "epoch 1: loss is nan, the training diverged; lower the learning rate (1e+20), or set "
        "optimizer.clipnorm"
    )
    assert epochs == []


def test_documented_loss_trains(
    images_8x8: Dataset, plain: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from digits.training import fit as module

    page = (REPOSITORY / "docs/how-to/maintenance.md").read_text("utf-8")
    [code] = re.findall(r"```python\n(.*?)```", page[page.index("## Another loss") :], re.S)[:1]
    monkeypatch.setattr(module, "LOSSES", {**module.LOSSES})
    exec(code, vars(module))  # as if it stood at the end of fit.py
    [name] = module.LOSSES.keys() - {"categorical_crossentropy", "categorical_focal_crossentropy"}
    smoothed = {"label_smoothing": 0.1, "keep": "best"}
    asked = recipe().fit.model_copy(update={"loss": name, **smoothed})
    trained = fit(images_8x8, recipe=recipe().model_copy(update={"fit": asked}))
    assert fingerprint(trained.model) != plain
    assert trained.history[-1]["loss"] < trained.history[0]["loss"]


def test_kept_epoch_is_recorded(project: Path) -> None:
    from digits.stages import train

    write_params({**SMALL, "train.mlp.fit.keep": "best", "train.mlp.fit.epochs": 3})
    train.main("mlp")
    outputs = WORKSPACE.trained("mlp")
    losses = [epoch["val_loss"] for epoch in outputs.read_history()]
    assert outputs.read_metrics()["kept_epoch"] == np.argmin(losses)
