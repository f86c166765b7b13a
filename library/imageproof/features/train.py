"""A linear classifier of a backbone's features, fitted on images: what a project calls."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from onnx import ModelProto

from imageproof.base._connected import together
from imageproof.base._dataset import Dataset, Labels, Probabilities
from imageproof.base._inference import Features
from imageproof.base.errors import DataError
from imageproof.features import _graph
from imageproof.features._backbone import load_backbone
from imageproof.features._cache import FeatureCache
from imageproof.features.head import (
    Choice,
    Rowset,
    Settings,
    choose_c,
    fit_head,
    predict,
)

FOLDS = 5  # of the training rows, by which C is chosen


class Fitted(NamedTuple):
    """A fitted classifier; `metrics` are as Keras names them, with the chosen `c`."""

    features: ModelProto
    head: _graph.Head
    backbone: str
    metrics: dict[str, float]

    def network(self, *, temperature: float) -> ModelProto:
        """The ONNX model from packed images to probabilities."""
        return _graph.classifier(
            self.features, self.head, temperature=temperature, name=self.backbone
        )

    @property
    def parameters(self) -> int:
        """Numbers of the head; those of the backbone were not trained."""
        return self.head.weights.size + self.head.bias.size


class Options(NamedTuple):
    """How a classifier is fitted: the backbone and its SHA-256; the values of which C is chosen;
    whether each image counts twice, as it is and mirrored.
    """

    backbone: str
    backbone_sha256: str
    c: Sequence[float]
    mirror: bool


def fit_features(
    options: Options,
    data: Dataset,
    validation: Dataset,
    *,
    settings: Settings,
    threads: int,
) -> Fitted:
    """Ask the backbone for the features of all images, and fit a head to them.

    C is chosen by folds within the training rows, the `validation` rows are only measured. Raises
    as `load_backbone`, and a DataError if a class has no training row.
    """
    from threadpoolctl import threadpool_limits

    check_classes(data.labels, settings.classes)
    shape = data.images.shape[1:]
    backbone = load_backbone(options.backbone, options.backbone_sha256)
    body = _graph.feature_graph(backbone, shape)
    if len(shape) == 2:
        repeated = "the grey values are repeated in its three channels"
        print(f"{options.backbone}: is for colour; {repeated}")
    features = _features(FeatureCache(body, shape, threads=threads), options, data, validation)
    views = [features[part] for part in ("train", "mirrored") if part in features]
    rowset = Rowset(np.stack(views), data.labels, together(data))
    with threadpool_limits(1):  # threads of BLAS on a busy machine: 70 times slower
        choice = choose_c(rowset, options.c, settings, folds=FOLDS, threads=threads)
        head = fit_head(rowset, choice.c, settings)
    print(f"{options.backbone}: {describe(choice)}", flush=True)
    metrics = _measured("", predict(head, features["train"]), data.labels)
    metrics |= _measured("val_", predict(head, features["validation"]), validation.labels)
    metrics["c"] = choice.c
    return Fitted(body, head, options.backbone, metrics)


def _features(
    cache: FeatureCache,
    options: Options,
    data: Dataset,
    validation: Dataset,
) -> dict[str, Features]:
    """The roots of the features of `train`, `validation` and, if asked for, `mirrored` images."""
    images = {"train": data.images, "validation": validation.images}
    if options.mirror:
        images["mirrored"] = data.images[:, :, ::-1]
    features = {
        part: _graph.rooted(cache.features(rows, label=f"features of {part} images"))
        for part, rows in images.items()
    }
    total = sum(map(len, images.values()))
    print(f"{options.backbone}: asked for {cache.asked:,} of {total:,} images", flush=True)
    return features


def describe(choice: Choice) -> str:
    """The chosen C, and the log loss of each in folds."""
    losses = [f"{c:g}: {loss:.4f}" for c, loss in choice.losses.items()]
    in_folds = f"; log loss in folds {', '.join(losses)}" if losses else ""
    if losses and choice.c == max(choice.losses):
        in_folds += "; a larger one may be better"
    return f"C is {choice.c:g}{in_folds}"


def check_classes(labels: Labels, classes: int) -> None:
    """A DataError if a class has no row to train on."""
    absent = np.setdiff1d(np.arange(classes), labels)
    if absent.size:
        raise DataError(
            f"artifacts/split/train.npz: class {absent[0]} has no training row; add pictures of "
            "it, or lower data.classes"
        )


def _measured(
    prefix: str,
    probabilities: Probabilities,
    labels: Labels,
) -> dict[str, float]:
    from sklearn.metrics import log_loss

    hits = probabilities.argmax(axis=1) == labels
    classes = range(probabilities.shape[1])
    return {
        f"{prefix}loss": float(log_loss(labels, probabilities, labels=classes)),
        f"{prefix}accuracy": float(hits.mean()),
    }
