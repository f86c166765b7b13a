"""How often the model's features are called drifted, for clean and for changed images."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFont

from benchmarks.markdown import table
from benchmarks.workspace import Workspace
from digits import params
from imageproof.base import _inference
from imageproof.base._dataset import Images
from imageproof.judge.disturbances import blur, rotate
from imageproof.judge.drift import Distances, KnownFeatures, judge
from imageproof.pictures._digit import normalise

DRAWS = 100
CLEAN_DRAWS = 1000
ROWS = 500
FOREIGN_ROWS = 50  # of a draw
LETTERS = 3000
COMPARISONS = 4  # that `digits monitor` makes: each p-value is multiplied by their number
FONTS = ("DejaVu*", "STIXGeneral*", "cm[brst]*10")
CANVAS = 160  # pixels; letters are drawn large and scaled down


def measure_drift(workspace: Workspace) -> Iterator[dict[str, Any]]:
    """The share of draws of 500 images, 0…1, that are called drifted, by model and kind.

    The models are those that DVC's remote has. Yields the result so far after each model.
    """
    workspace.run("dvc", "pull", "--quiet")
    limits = params.load(workspace.root / "params.yaml").drift
    test = workspace.images("test")
    kinds = {
        "clean, hold-out": workspace.images("holdout"),
        "clean, test": test,
        "rotated by ±15°": np.concatenate([*rotate(test, 15)]),
        "blurred": np.concatenate([*blur(test, 0.035)]),
    }
    letters = draw_letters(test.shape[1:])
    figures: dict[str, dict[str, float]] = {}
    for model in workspace.models:
        path = workspace.outputs(model).model
        if not (features := _inference.load_features(path, threads=workspace.threads)):
            continue  # a model of another framework need not have them
        known = KnownFeatures(features(workspace.images("validation")))

        def is_drift(distances: Distances, known: KnownFeatures = known) -> bool:
            compared = known.compare(distances, limits.min_feature_effect)
            [drift] = judge([compared], limits.level / COMPARISONS)
            return drift.drifted

        distances = {kind: known.distances(features(images)) for kind, images in kinds.items()}
        foreign = known.distances(features(letters))
        figures[model] = _shares(distances, foreign, is_drift)
        yield figures


def _shares(
    distances: dict[str, Distances], foreign: Distances, is_drift: Callable[[Distances], bool]
) -> dict[str, float]:
    random = np.random.default_rng(0)
    shares = dict[str, float]()
    for kind, of_kind in distances.items():
        draws = CLEAN_DRAWS if kind.startswith("clean") else DRAWS
        shares[kind] = float(
            np.mean([is_drift(random.choice(of_kind, ROWS, False)) for _ in range(draws)])
        )
    mixed = [
        np.concatenate(
            [
                random.choice(distances["clean, test"], ROWS - FOREIGN_ROWS, False),
                random.choice(foreign, FOREIGN_ROWS, False),
            ]
        )
        for _ in range(DRAWS)
    ]
    return shares | {"10 % letters": float(np.mean([is_drift(draw) for draw in mixed]))}


def draw_letters(shape: tuple[int, int]) -> Images:
    """Letters A to Z in many fonts, slants and widths, in MNIST's form uint8 (n, height, width)."""
    folder = Path(matplotlib.get_data_path(), "fonts/ttf")
    fonts = sorted(path for glob in FONTS for path in folder.glob(f"{glob}.ttf"))
    fonts = [path for path in fonts if "Display" not in path.name]
    random = np.random.default_rng(0)
    return np.stack([_letter(fonts, random, shape) for _ in range(LETTERS)])


def _letter(fonts: list[Path], random: Generator, shape: tuple[int, int]) -> Images:
    font = ImageFont.truetype(str(fonts[random.integers(len(fonts))]), CANVAS // 2)
    image = Image.new("L", (CANVAS, CANVAS))
    middle = CANVAS / 2
    text = chr(ord("A") + int(random.integers(26)))
    ImageDraw.Draw(image).text((middle, middle), text, 255, font=font, anchor="mm")
    slant = random.uniform(-0.25, 0.25)
    width = random.uniform(0.75, 1.2)
    moved = (1 / width, slant, middle * (1 - 1 / width - slant), 0.0, 1.0, 0.0)
    slanted = image.transform(image.size, Image.Transform.AFFINE, moved, Image.Resampling.BILINEAR)
    return normalise(np.asarray(slanted, np.float64), shape=shape)


def drift_section(part: dict[str, Any]) -> str:
    head = ["% of the draws", *part]
    kinds = list(next(iter(part.values())))
    body = [[kind, *(f"{100 * row[kind]:.1f}" for row in part.values())] for kind in kinds]
    return f"""## Drift

How often the model's features are called drifted, in draws of 500 images: 1,000 of clean ones, 100
of each other kind. The letters are A to Z of many fonts, brought into MNIST's form.

{table(head, body)}"""
