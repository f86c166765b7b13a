"""`explore`: table and pictures of the raw training data."""

from pathlib import Path

from digits.core import process
from digits.core.artifacts import EXPLORE
from digits.core.dataset import Dataset
from digits.core.files import replacing
from digits.data import exploration
from digits.data.readers.raw import read_raw
from digits.params import load as load_params
from digits.reporting.plots import raw as plots
from digits.reporting.plots.theme import save

SAMPLES_PER_CLASS = 10


def main() -> None:
    """Write artifacts/explore/."""
    params = load_params()
    data, names = read_raw(Path("data")).train, params.data.names
    write_distribution(data, names)
    write_pixel_statistics(data, names)
    images = exploration.samples(
        data, classes=len(names), per_class=SAMPLES_PER_CLASS, seed=params.seed
    )
    figure = plots.samples(images, names=names, title="Samples of each class")
    save(figure, EXPLORE / "samples.png")


def write_distribution(data: Dataset, names: list[str]) -> None:
    """Write the number of images per class as table and picture."""
    distribution = exploration.class_distribution(data.labels, names=names)
    with replacing(EXPLORE / "classes.csv") as temporary:
        distribution.to_csv(temporary, index=False, float_format="%.4f")
    figure = plots.class_distribution(distribution, title=f"{len(data):,} training images by class")
    save(figure, EXPLORE / "class_distribution.png")


def write_pixel_statistics(data: Dataset, names: list[str]) -> None:
    """Write one picture per pixel-wise statistic."""
    for statistic, images in exploration.pixel_statistics(data, classes=len(names)).items():
        title = f"Pixel-wise {statistic.replace('_', ' ')} of each class"
        figure = plots.class_images(images, names=names, title=title)
        save(figure, EXPLORE / f"{statistic}.png")


if __name__ == "__main__":
    process.run_stage(main)
