"""The rules: each looks at few facts, and yields the lines of params.yaml that fit them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from functools import partial
from math import ceil, floor, sqrt
from typing import Any, NamedTuple

from scipy.stats import binom

from imageproof.adapt._facts import CHANCE, Facts, Params, part_rows, whole_part
from imageproof.base._class_names import spelled
from imageproof.base.files import flatten
from imageproof.data._hashing import MAX_SHARE
from imageproof.dvc.params_yaml import get_by_path, set_keys, validated
from imageproof.judge._groups import clopper_pearson
from imageproof.judge.confidence import too_few_rows
from imageproof.judge.limits import OF_ALL, PromoteParams, counts_of, rows_needed
from imageproof.keras.costs import MIN_STEPS

SIDE = 64  # pixels of an image, if its picture has so many and no backbone asks for more
ELONGATED = 2.0  # a proportion; a square cut from the middle loses half of such a picture
STEPS = 600
MAX_EPOCHS = 100
MIN_BATCH = 32
STEPS_OF_EPOCH = 20  # for which a batch is made smaller
COVERAGES = (0.99, 0.975, 0.95, 0.9, 0.8)
# times the validation rows that a coverage needs: with just these, answer sets are wide
SPARE = 3
CONFIDENT = 0.9  # an accuracy that only easy data allows,
SURE = 0.2  # and such a share of unsure answers


class Models(NamedTuple):
    """The project's models: for small grey images only, and for any that can be trained here.

    `sides` are pixels of the images of a backbone, by the model that asks it.
    """

    simple: Sequence[str]
    general: Sequence[str]
    sides: Mapping[str, int]


class Change(NamedTuple):
    key: str
    today: Any
    value: Any
    reason: str


Lines = Iterator[tuple[str, Any, str]]  # key, value, reason


def find_changes(
    facts: Facts,
    params: Params,
    models: Models,
) -> list[Change]:
    """The lines of params.yaml that do not fit; keys that the file does not have are left out."""
    params = deepcopy(params)
    rules: list[Callable[[Facts, Params], Lines]] = [
        fit_classes,
        partial(fit_models, models=models),
        partial(fit_image, models=models),
        fit_split,
        fit_validation,
        fit_training,
        fit_coverage,
        fit_gate,
    ]
    changes = []
    for rule in rules:
        for key, value, reason in [*rule(facts, params)]:
            values = flatten(params)
            if values.get(key, value) != value:
                changes.append(Change(key, values[key], value, reason))
                set_keys(params, {key: value})
    return changes


def fit_classes(facts: Facts, params: Params) -> Lines:
    classes = len(facts.counts)
    yield "data.classes", classes, f"the data has {classes}"
    names = get_by_path(params, "data.class_names")
    unknown = {*map(spelled, names or ())} - {*facts.class_names}
    if names and (len(names) != classes or 0 < len(unknown) < classes):
        yield "data.class_names", None, "the names in the data"


def fit_models(facts: Facts, params: Params, models: Models) -> Lines:
    listed = params["models"]
    own_models = [model for model in listed if model not in [*models.simple, *models.general]]
    fitting = [*models.general, *own_models]
    if fitting and not facts.is_digit_like and {*listed} & {*models.simple}:
        reason = f"{', '.join(models.simple)} are for one light thing on black"
        yield "models", fitting, reason


def fit_image(facts: Facts, params: Params, models: Models) -> Lines:
    image = params["data"]["image"]
    if image["channels"] == ("grey" if facts.has_colour else "rgb"):
        yield "data.image.channels", "auto", "colour" if facts.has_colour else "no colour"
    if image["fit"] == "digit" and not facts.is_digit_like:
        if facts.is_transparent:
            yield "data.image.fit", "pad", "transparent pictures: the whole of each counts"
        elif facts.is_uniform or facts.proportion > ELONGATED:
            yield "data.image.fit", "stretch", "the whole of each picture counts"
        else:
            yield "data.image.fit", "crop", "photographs: the middle counts"
    if image["size"] == "auto" and not facts.is_uniform:
        largest = max([SIDE, *(models.sides.get(model, 0) for model in params["models"])])
        side = min(largest, facts.short_side)
        reason = f"most pictures have sides of {facts.short_side} pixels or more"
        yield "data.image.size", [side, side], reason


def fit_split(facts: Facts, params: Params) -> Lines:
    split = params["split"]
    group = split["group"]
    if group and group not in facts.columns:
        yield "split.group", None, "labels.csv has no such column"
    method = split["method"]
    fewest = min(facts.divided) * params["data"]["percent"] / 100
    if facts.test_counts and fewest * min(split["official"].values()) >= 1:
        if method != "official":
            yield "split.method", "official", "the data has a test part"
        return
    largest = max(facts.columns.get(group, {}).values(), default=0)
    if largest > MAX_SHARE * sum(facts.counts) and method != "stratified":
        yield "split.method", "stratified", f"one {group} has {largest:,} rows: too many to hash"
    elif method == "official":
        yield "split.method", "hashed", "no test part, or too few images of a class for it"


def fit_validation(facts: Facts, params: Params) -> Lines:
    rows = sum(facts.counts)
    if rows < params["validate"]["min_rows"]:
        yield "validate.min_rows", max(1, rows // 2), f"half of the {rows:,} to divide"
    if not facts.is_digit_like:
        yield "validate.max_mean_ink", 255, "a bright picture is no fault"


def fit_training(facts: Facts, params: Params) -> Lines:
    """More epochs and smaller batches for few steps."""
    rows = max(1, whole_part(facts, params, "train"))
    for model in params["models"]:
        fit = get_by_path(params, f"train.{model}.fit") or {}
        batch = fit.get("batch_size")
        epochs = fit.get("epochs")
        if not batch or not epochs or ceil(rows / batch) * epochs >= MIN_STEPS:
            continue
        while batch > MIN_BATCH and rows < STEPS_OF_EPOCH * batch:
            batch //= 2
        steps = ceil(rows / batch)
        reason = f"training rows: at least {rows:,}; steps per epoch: {steps}"
        yield f"train.{model}.fit.batch_size", batch, reason
        yield f"train.{model}.fit.epochs", min(MAX_EPOCHS, ceil(STEPS / steps)), reason


def fit_coverage(facts: Facts, params: Params) -> Lines:
    rows = whole_part(facts, params, "validation")
    today = params["confidence"]["coverage"]
    allowed = [today, *(value for value in COVERAGES if value < today)]
    fitting = (value for value in allowed if not too_few_rows(rows // SPARE, value))
    coverage = next(fitting, allowed[-1])
    yield "confidence.coverage", coverage, f"there may be only {rows:,} validation rows"


def fit_gate(facts: Facts, params: Params) -> Lines:
    """Turn off what so few hold-out rows cannot show, and what only easy data reaches."""
    counts = part_rows(facts.divided, facts, params, "holdout")
    promote = validated(PromoteParams, params["promote"], "promote")
    size = facts.rows_per_group(params["split"]["group"])
    yield from _fit_limits(promote, [*counts, whole_part(facts, params, "holdout")], size)
    smallest = min(counts)
    units = floor(smallest / size)
    if promote.min_sensitivity and not can_show(promote.min_sensitivity, units, len(counts)):
        reason = f"the {smallest:,} hold-out rows that a class may have cannot show it"
        yield "promote.min_sensitivity", None, reason
    rows = whole_part(facts, params, "validation")
    error = promote.max_calibration_error
    # the share that is right is known from so many rows to ± 1/√n, its 95 % interval
    error_of_rows = ceil(100 / sqrt(max(1, rows))) / 100
    if error is not None and error < error_of_rows:
        reason = f"the {rows:,} validation rows that there may be calibrate no better"
        yield "promote.max_calibration_error", error_of_rows, reason
    if facts.is_digit_like:
        return
    if (promote.min_accuracy or 0) > CONFIDENT:
        yield "promote.min_accuracy", None, "is for handwriting; set what yours must reach"
    if promote.max_unsure is not None and promote.max_unsure <= SURE:
        yield "promote.max_unsure", None, "is for handwriting; set what yours may leave open"


def _fit_limits(promote: PromoteParams, rows: Sequence[int], size: float) -> Lines:
    """By the hold-out rows of each class, then of all, in groups of so many."""
    counts = counts_of(rows, [count / size for count in rows] if size > 1 else None)
    for key, minimum in rows_needed(promote, counts).items():
        unit = "" if key in OF_ALL else " of each class"
        reason = f"needs {minimum:,} hold-out rows{unit}, there may be only {counts.judging(key):,}"
        # half of the rows may be unseen by both models, once there are more images
        yield f"promote.{key}", max(1, rows[-1] // 2) if key == "min_unseen" else None, reason


def can_show(limit: float, rows: int, classes: int) -> bool:
    """Whether classes of so many hold-out rows pass `min_sensitivity` if each is right for √limit.

    With a chance of 95 % the lower end of each one's exact interval reaches the limit.
    """
    hits = binom.ppf(CHANCE / classes, rows, sqrt(limit))
    return rows > 0 and clopper_pearson(hits / rows, rows)[0] >= limit
