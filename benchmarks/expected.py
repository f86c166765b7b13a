"""The accuracy expected without labels beside the true one, of disturbed images."""

from collections.abc import Iterator
from functools import partial
from itertools import compress
from typing import Any

import numpy as np

from benchmarks.workspace import Workspace
from digits import params
from digits.artifacts import split_path
from digits.evaluation.behaviour import BY_AMOUNT, graded
from digits.toolkit import inference
from digits.toolkit.answering.drift import SAMPLE
from digits.toolkit.dataset import load_split
from digits.toolkit.judgement.expected import KnownAnswers, ask, ask_known

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
    validation, test = (
        load_split(workspace.root / split_path(name)).data for name in ("validation", "test")
    )
    rows = np.random.default_rng(0).permutation(len(test))[:SAMPLE]
    images, labels = test.images[rows], test.labels[rows]
    figures: dict[str, Any] = {}
    for model in workspace.models:
        path, threads = workspace.outputs(model).model, workspace.threads
        features = inference.load_features(path, threads=threads)
        network = inference.load(path, threads=threads)
        answer = partial(ask, predict=network.predict, features=features)
        kinds = ask_known(validation, disturbed, answer)
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
