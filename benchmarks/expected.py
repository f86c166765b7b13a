"""The accuracy expected without labels beside the true one, of disturbed images."""

from collections.abc import Iterator
from functools import partial
from itertools import compress
from typing import Any

import numpy as np

from benchmarks.markdown import table
from benchmarks.workspace import Workspace
from digits import params
from imageproof.answer.drift import SAMPLE
from imageproof.artifacts import split_path
from imageproof.base import inference
from imageproof.base.dataset import load_split
from imageproof.judge.disturbances import BY_AMOUNT, graded
from imageproof.judge.expected import KnownAnswers, ask, ask_known

LEVELS = {  # ten of each kind
    "noise": np.linspace(0.05, 0.5, 10),
    "blur": np.linspace(0.01, 0.1, 10),
    "rotate": np.linspace(5, 50, 10),
}


def measure_expected(workspace: Workspace) -> Iterator[dict[str, Any]]:
    """By model, kind and level: the true, expected (with interval) and mean top probability, 0…1.

    The models are those that DVC's remote has; the images 2,000 test rows, as many as `digits
    monitor` looks at. `others`: what is expected if the images known are of the other kinds only.
    """
    workspace.run("dvc", "pull", "--quiet")
    disturbed = graded(params.load(workspace.root / "params.yaml").behaviour)
    validation, holdout, test = (
        load_split(workspace.root / split_path(name)).data
        for name in ("validation", "holdout", "test")
    )
    rows = np.random.default_rng(0).permutation(len(test))[:SAMPLE]
    images, labels = test.images[rows], test.labels[rows]
    figures: dict[str, Any] = {}
    for model in workspace.models:
        path, threads = workspace.outputs(model).model, workspace.threads
        features = inference.load_features(path, threads=threads)
        network = inference.load(path, threads=threads)
        answer = partial(ask, predict=network.predict, features=features)
        kinds = ask_known([validation, holdout], disturbed, answer)
        known = KnownAnswers(kinds)
        figures[model] = {}
        for kind, levels in LEVELS.items():
            of_others = [getattr(each, "func", None) is not BY_AMOUNT[kind] for each in disturbed]
            others = KnownAnswers([*compress(kinds, [True, *of_others])])
            figures[model][kind] = []
            for level in levels:
                new = answer(BY_AMOUNT[kind](images, float(level)))
                right = new.probabilities.argmax(axis=1) == labels
                figures[model][kind].append(
                    {
                        "level": float(level),
                        "true": float(right.mean()),
                        "confidence": float(new.probabilities.max(axis=1).mean()),
                        "others": others.expect(new).value,
                        **known.expect(new)._asdict(),
                    }
                )
        yield figures


def expected_section(part: dict[str, Any]) -> str:
    def off(rows: list[dict[str, float]], name: str) -> float:
        return sum(abs(row[name] - row["true"]) for row in rows) / len(rows)

    ways = {"value": "expected", "confidence": "mean confidence", "others": "other kinds known"}
    rows_of = {
        model: {**kinds, "all": [row for rows in kinds.values() for row in rows]}
        for model, kinds in part.items()
    }
    head = ["points off, in the mean", *next(iter(rows_of.values()))]
    errors = [
        [f"{model}, {words}", *(f"{100 * off(rows, name):.1f}" for rows in kinds.values())]
        for model, kinds in rows_of.items()
        for name, words in ways.items()
    ]
    every = [row for kinds in rows_of.values() for row in kinds["all"]]
    inside = sum(row["lower"] <= row["true"] <= row["upper"] for row in every)
    settings = next(iter(part.values()))
    body = [
        [
            f"{kind} {row['level']:g}",
            *(
                f"{100 * r['true']:.1f} · {100 * r['value']:.1f} ({100 * r['lower']:.0f} to "
                f"{100 * r['upper']:.0f})"
                for r in (kinds[kind][number] for kinds in part.values())
            ),
        ]
        for kind, rows in settings.items()
        for number, row in enumerate(rows)
    ]
    return f"""## Accuracy without labels

What `digits monitor` expects of 2,000 disturbed test images, against the true accuracy: how many
points it is off, beside the model's mean confidence, and beside what it expects if images disturbed
in this way are unknown to it. {inside} of {len(every)} intervals hold the truth.

{table(head, errors)}

True and expected accuracy in %, with its interval; noise and blur are shares of the brightest
value and of the size, rotation is in degrees either way.

{table(["", *part], body)}"""
