"""The stage `explore`: table and pictures of the images that `split` divides."""

from imageproof.artifacts import WORKSPACE
from imageproof.base.files import replacing
from imageproof.data import _exploration, packed
from imageproof.report.plots import _raw as plots
from imageproof.report.plots._theme import save

SAMPLES = 10  # of each class


def write_exploration(names: list[str], *, seed: int) -> None:
    """Write how many images each class has, its average images, and samples of it."""
    folder = WORKSPACE.explore
    data = packed.load(WORKSPACE.pack, columns=["part", "label"]).train
    distribution = _exploration.class_distribution(data.labels, names=names)
    with replacing(folder / "classes.csv") as temporary:
        distribution.to_csv(temporary, index=False, float_format="%.4f")

    pictures = {"class_distribution": plots.class_distribution(distribution)}
    for statistic, pixels in _exploration.pixel_statistics(data, classes=len(names)).items():
        title = f"Pixel-wise {statistic.replace('_', ' ')} of each class"
        pictures[statistic] = plots.class_images(pixels, names=names, title=title)
    images = _exploration.samples(data, classes=len(names), per_class=SAMPLES, seed=seed)
    pictures["samples"] = plots.samples(images, names=names, title="Samples of each class")
    for name, figure in pictures.items():
        save(figure, folder / f"{name}.png")
