"""Still pictures: what they show, and that all of it can be read."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from imageproof.answer._predict import Answer
from imageproof.base.text import cut
from imageproof.data import _exploration
from imageproof.judge._confusion import clustered
from imageproof.judge.scores import Mistakes
from imageproof.report.plots._confusion import alluvial, confusion_matrix
from imageproof.report.plots._images import answers, mistakes
from imageproof.report.plots._model import pareto
from imageproof.report.plots._raw import class_distribution, class_images, samples
from imageproof.report.plots._theme import VERMILION

FASHION = [
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
]
LONG = [f"Troglodytes troglodytes islandicus (female, winter plumage) {n}" for n in range(12)]
NAMES = {
    5: [*LONG[:4], 4 * LONG[0]],
    10: FASHION,
    12: LONG,
    40: [f"Class number {n}" for n in range(40)],
}


def drawn(matrix, *, names, by=confusion_matrix):
    return by(matrix, names=names, title="cnn, test", order=clustered(matrix))


def mistakes_of(count):
    images = np.random.default_rng(0).integers(256, size=(count, 8, 8), dtype=np.uint8)
    truth = np.arange(count)
    confidence = np.linspace(1, 0.5, count, dtype=np.float32)
    return Mistakes(images, truth, truth + 1, confidence, np.array([f"row {n}" for n in truth]))


def texts(figure):
    return [text.get_text() for text in figure.findobj(Text) if text.get_visible()]


def legible(figure):
    """The figure, of which nothing is cut off, and no text is small, or lies on another."""
    labels = []
    draw = Text.draw

    def record(text, renderer):
        if text.get_visible() and text.get_text():
            labels.append(text)
        draw(text, renderer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Text, "draw", record)
        FigureCanvasAgg(figure).draw()
    extent = figure.get_tightbbox()
    assert min(extent.min) >= 0
    assert (extent.max <= figure.get_size_inches()).all()
    assert min(text.get_fontsize() for text in labels) >= 9
    upright = [text for text in labels if text.get_rotation() % 90 == 0]
    extents = np.array([text.get_window_extent().padded(-1).extents for text in upright])
    low = extents[:, None, :2]
    high = extents[:, None, 2:]
    on_another = ((low <= extents[:, 2:]) & (high >= extents[:, :2])).all(axis=2)
    np.fill_diagonal(on_another, val=False)
    assert [text.get_text() for text in np.array(upright)[on_another.any(axis=0)]] == []
    return figure


@pytest.mark.parametrize("classes", NAMES)
def test_pictures_of_any_number_of_classes_are_legible(classes):
    names = NAMES[classes]
    matrix = np.diag(np.full(classes, 1000))
    errors = np.random.default_rng(0).integers(classes, size=(2, 40))
    np.add.at(matrix, tuple(errors), 1)
    matrix[:, 0] = 0
    matrix[0, 0] = 2  # a class of two images among others of a thousand
    matrix[0, -1] = 500  # the most confused
    table = _exploration.class_distribution(np.arange(1000) % classes, names=names)
    images = np.random.default_rng(0).uniform(0, 255, size=(classes, 8, 12))
    rows = [np.ones((10, 8, 12), np.uint8)] * classes
    figures = [
        drawn(matrix, names=names),
        drawn(matrix, names=names, by=alluvial),
        class_distribution(table),
        class_images(images, names=names, title="mean of each class"),
        samples(rows, names=names, title="samples"),
    ]
    names = [cut(name, 64) for name in names]
    cells, ribbons, _, averages, sheet = figures
    for figure in figures:
        assert max(legible(figure).get_size_inches()) < 32
    assert len(cells.axes[0].texts) == (classes**2 if classes <= 20 else 0)
    assert any(text.startswith(f"\u2068{names[-1]}\u2069: 50") for text in texts(ribbons))
    assert {text.replace("\n", " ") for text in texts(averages)} >= {*names[:30]}
    assert {*texts(sheet)} & {*names} == {*names[:30]}


def test_confusion_matrix_cells():
    matrix = np.diag([90, 9_999, 5, 0])
    matrix[0, 1] = 1  # a row holds predictions
    matrix[1, 0] = 10
    [axes] = drawn(matrix, names=[*"abcd"]).axes
    cells = [text.get_text() for text in axes.texts]
    assert cells[:6] == [
        "90\n90.0 %",
        "1\n<0.1 %",
        "0\n0 %",
        "0\nn/a",
        "10\n10.0 %",
        "9,999\n>99.9 %",
    ]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Reference", "Prediction")


def test_alluvial_ribbons():
    matrix = np.array([[90, 1, 0], [10, 99, 0], [0, 0, 50]])
    figure = drawn(matrix, names=["shirt", "bag", "boot"], by=alluvial)
    outlines = [ribbon.get_paths()[0].vertices for ribbon in figure.axes[0].findobj(PolyCollection)]
    for end in (0, 1):
        heights = [np.ptp(outline[outline[:, 0] == end, 1]) for outline in outlines]
        assert heights == pytest.approx([90 / 11, 9, 50 / 11, 1, 10])
    assert "grey: correct, drawn 11 times narrower than errors · red: errors" in texts(figure)


def test_mistakes():
    heat = np.linspace(-0.5, 1, 11 * 64).reshape(11, 8, 8)
    names = [*FASHION, *LONG[:2]]
    panels = legible(mistakes(mistakes_of(11), heat, names=names, title="cnn")).axes
    assert panels[0].get_title() == "is T-shirt/top"
    assert panels[0].get_xlabel() == "called Trouser\n>99.9 %\nrow 0"
    np.testing.assert_allclose(panels[10].images[0].get_array()[-1, -1], to_rgb(VERMILION))
    empty = legible(mistakes(mistakes_of(0), heat[:0], names=[], title="cnn, test"))
    assert texts(empty) == ["cnn, test\nno mistake"]


def test_explained_answer_has_a_name():
    file = "a/folder/and a long name 0.png"
    answer = Answer(file, 1, [0.1, 0.9], "pad", [1], False, "yes", ["yes"])
    images = np.zeros((1, 8, 6, 3), np.uint8)
    [axes] = legible(answers(images, np.zeros((1, 8, 6)), [answer], title="champion")).axes
    assert axes.get_xlabel() == "called yes\n90.0 %\n…d a long name 0.png"


@pytest.mark.parametrize(("slowest", "comparable"), [(400.0, True), (70.0, False)])
def test_pareto_front(slowest, comparable):
    times = {
        "mlp": 30.0,
        "cnn": slowest,
        "svm": 60.0,
        "features_of_the_largest_backbone_with_mirrors": 60.1,
    }
    statistics = {
        model: {"accuracy": share, "accuracy_lower": share - 0.003, "accuracy_upper": 1.0}
        for model, share in zip(times, (0.98, 0.99, 0.97, 0.969), strict=True)
    }
    figure = legible(pareto(times, statistics, comparable=comparable))
    steps = [line for line in figure.axes[0].lines if line.get_drawstyle() == "steps-post"]
    front = [[[30, 0.98], [slowest, 0.99]]] if comparable else []
    assert [line.get_xydata().tolist() for line in steps] == front
    assert (
        "Pareto front: mlp, cnn"
        if comparable
        else "no Pareto front: training times cannot be compared"
    ) in texts(figure)
