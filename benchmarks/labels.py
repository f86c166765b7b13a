"""What pictures that `digits to-label` chooses are worth, beside as many drawn at random."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import t
from threadpoolctl import threadpool_limits

from benchmarks.emoji import write_emoji
from benchmarks.workspace import Workspace
from imageproof.base._dataset import Images, Labels, Rows
from imageproof.base._inference import Features
from imageproof.base.files import sha256
from imageproof.features._backbone import backbone_path, load_backbone
from imageproof.features._cache import FeatureCache
from imageproof.features._descriptors import coarse_pixels
from imageproof.features._graph import Head, feature_graph, rooted
from imageproof.features.head import Rowset, Settings, fit_head, predict
from imageproof.judge.confidence import threshold
from imageproof.labels._choosing import choose, uncertain_first
from imageproof.pictures._reading import read_pictures

BACKBONE = "efficientnet-lite0"
SHAPE = (64, 64, 3)
SEEDS = 20
LABELLED = 500  # pictures before, of which a fifth calibrates the answer sets
POOL = 2000
CHOSEN = 500
C = 0.01  # of the classifier; `features` chooses it most often
COVERAGE = 0.9


class Pictures(NamedTuple):
    """Features float32 (n, k) and pixels of pictures, their classes, and the group of each."""

    features: Features
    coarse: Features
    labels: Labels
    groups: Rows


def measure_labels(workspace: Workspace) -> Iterator[dict[str, Any]]:
    """Accuracy on the same test with pictures that were chosen, and with random ones."""
    workspace.run("dvc", "pull", "--quiet", str(backbone_path(BACKBONE)))
    packages = workspace.root / ".state/npm"
    packages.mkdir(parents=True)
    folder = workspace.root / "emoji"
    folder.mkdir()
    write_emoji(folder, packages=packages)
    table = pd.read_csv(folder / "labels.csv")
    paths = [folder / file for file in table["file"]]
    images = np.stack([image for image, _ in read_pictures(paths, shape=SHAPE, fit="stretch")])
    yield compare(describe(images, table, threads=workspace.threads))


def describe(images: Images, table: pd.DataFrame, *, threads: int) -> Pictures:
    """The features by the backbone, which is asked once for each image."""
    backbone = load_backbone(BACKBONE, sha256(backbone_path(BACKBONE)))
    cache = FeatureCache(feature_graph(backbone, SHAPE), SHAPE, threads=threads)
    features = cache.features(images, label="features")
    labels, groups = (pd.factorize(table[column])[0] for column in ("label", "group"))
    return Pictures(features, coarse_pixels(images), labels, groups)


def compare(pictures: Pictures) -> dict[str, Any]:
    """The mean accuracies 0…1 of all seeds, and the 95 % interval of their mean difference."""
    with threadpool_limits(1):
        rows = [_accuracies(pictures, seed) for seed in range(SEEDS)]
    table = pd.DataFrame(rows)
    difference = table["chosen"] - table["random"]
    half = t.ppf(0.975, SEEDS - 1) * difference.sem()
    interval = {"lower": difference.mean() - half, "upper": difference.mean() + half}
    return {**table.mean(), "difference": difference.mean(), **interval}


def _accuracies(pictures: Pictures, seed: int) -> dict[str, float]:
    """Test accuracy before, and with more pictures; a third of the groups are the test."""
    rng = np.random.default_rng(seed)
    groups = rng.permutation(pictures.groups.max() + 1)
    is_test = np.isin(pictures.groups, groups[: len(groups) // 3])
    rows = rng.permutation(np.flatnonzero(~is_test))
    labelled = rows[:LABELLED]
    pool = rows[LABELLED : LABELLED + POOL]
    head = _fit(pictures, labelled[LABELLED // 5 :], seed)
    order = uncertain_first(
        predict(head, rooted(pictures.features[pool])),
        _threshold(head, pictures, labelled[: LABELLED // 5]),
    )
    parts = choose(order, pictures.features[pool], pictures.coarse[pool], count=CHOSEN, seed=seed)
    more = {
        "none": pool[:0],
        "random": rng.permutation(pool)[:CHOSEN],
        "chosen": pool[np.concatenate(parts)],
    }
    accuracies = {}
    for name, extra in more.items():
        fitted = _fit(pictures, np.concatenate([labelled, extra]), seed)
        answers = predict(fitted, rooted(pictures.features[is_test])).argmax(axis=1)
        accuracies[name] = float(np.mean(answers == pictures.labels[is_test]))
    print(seed, accuracies, flush=True)
    return accuracies


def _fit(pictures: Pictures, rows: Rows, seed: int) -> Head:
    views = rooted(pictures.features[None, rows])
    rowset = Rowset(views, pictures.labels[rows], pictures.groups[rows])
    settings = Settings(int(pictures.labels.max()) + 1, None, seed)
    return fit_head(rowset, C, settings)


def _threshold(head: Head, pictures: Pictures, rows: Rows) -> float:
    answers = predict(head, rooted(pictures.features[rows]))
    truths = answers[np.arange(len(rows)), pictures.labels[rows]]
    return threshold(np.sort(truths), COVERAGE)


def labels_section(part: dict[str, Any]) -> str:
    points = {name: f"{100 * part[name]:+.1f}" for name in ("difference", "lower", "upper")}
    return f"""## Pictures worth labelling

`features` on emoji, by their category; {LABELLED} are labelled, {POOL:,} are not. With {CHOSEN} of
these, chosen as `digits to-label` does, the accuracy on the same test goes from
{part["none"]:.1%} to {part["chosen"]:.1%}; with {CHOSEN} random ones to {part["random"]:.1%}.
The mean difference of {SEEDS} seeds is {points["difference"]} points, 95 % interval
{points["lower"]} to {points["upper"]}."""
