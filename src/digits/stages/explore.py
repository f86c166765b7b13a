"""`explore`: table and pictures of the raw training data."""

from digits.params import load as load_params
from imageproof.artifacts import WORKSPACE
from imageproof.base.files import replacing
from imageproof.data import exploration, packed
from imageproof.dvc.stage_command import run_stage
from imageproof.report.plots import raw as plots
from imageproof.report.plots.theme import save


def main() -> None:
    params = load_params()
    data = packed.load(WORKSPACE.pack, columns=["part", "label"]).part("train")
    names = WORKSPACE.class_names(params.data.classes, params.data.class_names)
    distribution = exploration.class_distribution(data.labels, names=names)
    with replacing(WORKSPACE.explore / "classes.csv") as temporary:
        distribution.to_csv(temporary, index=False, float_format="%.4f")
    title = f"{len(data):,} training images by class"
    pictures = {"class_distribution": plots.class_distribution(distribution, title=title)}
    for statistic, pixels in exploration.pixel_statistics(data, classes=len(names)).items():
        title = f"Pixel-wise {statistic.replace('_', ' ')} of each class"
        pictures[statistic] = plots.class_images(pixels, names=names, title=title)
    images = exploration.samples(data, classes=len(names), per_class=10, seed=params.seed)
    pictures["samples"] = plots.samples(images, names=names, title="Samples of each class")
    for name, figure in pictures.items():
        save(figure, WORKSPACE.explore / f"{name}.png")


if __name__ == "__main__":
    run_stage(main)
