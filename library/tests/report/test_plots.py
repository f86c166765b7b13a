"""Still pictures: what they show, and that all of it can be read."""

import numpy as np
import pytest
from chances import honest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex, to_rgb
from matplotlib.text import Text

from imageproof.answer._predict import Answer
from imageproof.data import _exploration
from imageproof.judge._confusion import clustered
from imageproof.judge.scores import Mistakes
from imageproof.judge.scores import reliability as by_confidence
from imageproof.report.plots._comparison import pareto
from imageproof.report.plots._confusion import alluvial, confusion_matrix
from imageproof.report.plots._images import answers, mistakes
from imageproof.report.plots._model import learning_curves, reliability
from imageproof.report.plots._raw import class_distribution, class_images, samples
from imageproof.report.plots._theme import BLUE, VERMILION, save

FASHION = [
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
]
LONG = [f"Troglodytes troglodytes islandicus (female, winter plumage) {n}" for n in range(12)]
NAMES = {5: LONG[:5], 10: FASHION, 12: LONG, 40: [f"Class number {n}" for n in range(40)]}


def matrix_of(classes, errors=40):
    """A matrix of a good model: 1,000 images per class, some errors at random places."""
    rng = np.random.default_rng(0)
    matrix = np.diag(np.full(classes, 1000))
    np.add.at(matrix, tuple(rng.integers(classes, size=(2, errors))), 1)
    return matrix


def drawn(matrix, *, names, by=confusion_matrix):
    return by(matrix, names=names, title="cnn, test", order=clustered(matrix))


def mistakes_of(count):
    images = np.random.default_rng(0).integers(256, size=(count, 8, 8), dtype=np.uint8)
    truth = np.arange(count)
    confidence = np.linspace(1, 0.5, count, dtype=np.float32)
    return Mistakes(images, truth, truth + 1, confidence, np.array([f"row {n}" for n in truth]))


def texts(figure):
    return [text.get_text() for text in figure.findobj(Text) if text.get_visible()]


def hidden_ticks(figure):
    """Tick labels that matplotlib keeps but does not draw."""
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                if not (axes.axison and low <= tick.get_loc() <= high):
                    yield from (tick.label1, tick.label2)


def legible(figure):
    """The figure, of which nothing is cut off, and no text is small, or lies on another."""
    FigureCanvasAgg(figure).draw()
    extent = figure.get_tightbbox()
    assert min(extent.min) >= 0
    assert (extent.max <= figure.get_size_inches()).all()
    hidden = {id(label) for label in hidden_ticks(figure)}
    labels = [
        text
        for text in figure.findobj(Text)
        if text.get_visible() and text.get_text() and id(text) not in hidden
    ]
    assert min(text.get_fontsize() for text in labels) >= 9
    upright = [text for text in labels if text.get_rotation() % 90 == 0]
    extents = np.array([text.get_window_extent().padded(-1).extents for text in upright])
    low, high = extents[:, None, :2], extents[:, None, 2:]
    on_another = ((low <= extents[:, 2:]) & (high >= extents[:, :2])).all(axis=2)
    np.fill_diagonal(on_another, val=False)
    assert [text.get_text() for text in np.array(upright)[on_another.any(axis=0)]] == []
    return figure


@pytest.mark.parametrize("classes", NAMES)
def test_pictures_of_any_number_of_classes_are_legible(classes):
    names, matrix = NAMES[classes], matrix_of(classes)
    matrix[:, 0], matrix[0, 0] = 0, 2  # a class of two images among others of a thousand
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
    cells, ribbons, _, averages, sheet = figures
    for figure in figures:
        assert max(legible(figure).get_size_inches()) < 32
    assert len(cells.axes[0].texts) == (classes**2 if classes <= 20 else 0)
    assert any(text.startswith(f"\u2068{names[-1]}\u2069: 50") for text in texts(ribbons))
    assert {text.replace("\n", " ") for text in texts(averages)} >= {*names[:30]}
    assert {*texts(sheet)} & {*names} == {*names[:30]}


def test_confusion_matrix_cells():
    matrix = np.diag([90, 9_999, 5, 0])
    matrix[0, 1], matrix[1, 0] = 1, 10  # rows: prediction
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


def test_counts_stand_out_from_their_cells():
    matrix = np.arange(400).reshape(20, 20) + np.diag(np.arange(20) * 500)
    [axes] = drawn(matrix, names=[*"abcdefghijklmnopqrst"]).axes
    cells = axes.images[0].get_array()[..., :3].reshape(-1, 3)
    inks = np.array([to_rgb(text.get_color()) for text in axes.texts])
    luminances = np.sort(
        [np.power(x, 2.2) @ (0.2126, 0.7152, 0.0722) + 0.05 for x in (cells, inks)], 0
    )
    assert min(luminances[1] / luminances[0]) > 3.9  # WCAG's contrast ratio


def test_matrix_of_many_classes_puts_confused_ones_side_by_side():
    matrix, names = matrix_of(25, errors=0), [f"class {number}" for number in range(25)]
    matrix[3, 21] = 130
    [axes] = drawn(matrix, names=names).axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    row, column = labels.index("class 3"), labels.index("class 21")
    assert abs(row - column) == 1
    assert "the darkest are 11.5 % of their class" in axes.get_title()
    assert to_hex(axes.images[0].get_array()[row, column]).upper() == VERMILION


def test_alluvial_ribbons():
    matrix = np.array([[90, 1, 0], [10, 99, 0], [0, 0, 50]])
    figure = drawn(matrix, names=["shirt", "bag", "boot"], by=alluvial)
    ribbons = figure.axes[0].findobj(PolyCollection)
    colours = [to_hex(ribbon.get_facecolor()[0]).upper() for ribbon in ribbons]
    assert colours == [*["#C4C4C4"] * 3, *["#C4122F"] * 2]
    outlines = [ribbon.get_paths()[0].vertices for ribbon in ribbons]
    for end in (0, 1):
        heights = [np.ptp(outline[outline[:, 0] == end, 1]) for outline in outlines]
        assert heights == pytest.approx([90 / 11, 9, 50 / 11, 1, 10])
    assert "grey: correct, drawn 11 times narrower than errors · red: errors" in texts(figure)


def test_samples_stand_apart_in_rows():
    images = [np.full((2, 3, 4, 3), 50, np.uint8), np.full((1, 3, 4, 3), 90)]
    page = samples(images, names=["a", "b"], title="").axes[0].images[0].get_array()
    corners = page[[0, 2, 0, 2, 4, 6, 4, 6], [0, 3, 5, 8, 0, 3, 5, 8]].reshape(4, -1)
    assert [*map(np.unique, corners)] == [50, 50, 90, 255]


def test_class_images_of_colour():
    images = np.stack([np.full((8, 8, 3), (100.0, 50.0, 0.0)), np.full((8, 8, 3), np.nan)])
    figure = class_images(images, names=["red", "none"], title="mean")
    pixels = [axes.images[0].get_array()[0, 0] for axes in figure.axes]
    np.testing.assert_allclose(pixels, [(1, 0.5, 0), (1, 1, 1)])
    assert "full brightness is 100 of 255" in texts(figure)


def test_mistakes():
    wrong = mistakes_of(8)
    heat = np.linspace(-1, 0.5, 64 * 8).reshape(8, 8, 8)
    first, *_, last = legible(mistakes(wrong, heat, names=FASHION, title="cnn")).axes
    assert first.get_title() == "is T-shirt/top"
    assert first.get_xlabel() == "called Trouser\n>99.9 %\nrow 0"
    pixels = first.images[0].get_array()
    np.testing.assert_allclose(pixels[:8, :, 1], 1 - wrong.images[0] / 255)
    np.testing.assert_allclose(pixels[9, 0], to_rgb(BLUE))  # the strongest of all, against
    np.testing.assert_allclose(last.images[0].get_array()[-1, -1], to_rgb(VERMILION))
    legible(mistakes(mistakes_of(11), np.ones((11, 8, 8)), names=LONG, title="cnn"))
    none = legible(mistakes(mistakes_of(0), heat[:0], names=[], title="cnn, test\nrows"))
    assert texts(none) == ["cnn, test\nrows\nno mistake"]


def test_tinted_white_is_a_colour_matplotlib_can_draw(caplog):
    wrong = mistakes_of(1)
    wrong = wrong._replace(images=np.zeros_like(wrong.images))
    heat = np.full((1, 8, 8), 1e-9, np.float32)  # so little that 1 - heat is 1
    heat[0, 0, 0] = 1
    legible(mistakes(wrong, heat, names=FASHION, title="cnn"))
    assert caplog.messages == []


def test_explained_answers_have_names():
    images = np.full((2, 8, 6, 3), (255, 51, 0), np.uint8)
    files = ["a/folder/and a long name 0.png", "a long name 1.png"]
    results = [Answer(file, 1, [0.1, 0.9], "pad", [1], False, "yes", ["yes"]) for file in files]
    figure = answers(images, np.zeros((2, 8, 6)), results, title="champion")
    captions = [axes.get_xlabel() for axes in legible(figure).axes]
    start = "called yes\n90.0 %\n"
    assert captions == [f"{start}…d a long name 0.png", f"{start}a long name 1.png"]
    np.testing.assert_allclose(figure.axes[0].images[0].get_array()[:8], images[0] / 255)


def test_reliability():
    table = by_confidence(*honest(5_000))
    upper, lower = legible(reliability({"test": table}, title="cnn")).axes
    [points] = [line for line in upper.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(points.get_xydata(), table[["confidence", "accuracy"]])
    assert [text.get_text() for text in lower.texts] == [f"{rows:,}" for rows in table["rows"]]


@pytest.mark.parametrize(("slowest", "comparable"), [(400.0, True), (70.0, False)])
def test_pareto_front(slowest, comparable):
    times = {"mlp": 30.0, "cnn": slowest, "svm": 60.0, "a_rather_long_name": 60.1}
    shares = dict(zip(times, (0.98, 0.99, 0.97, 0.969), strict=True))
    statistics = {
        model: {"accuracy": share, "accuracy_lower": share - 0.003, "accuracy_upper": 1.0}
        for model, share in shares.items()
    }
    title = "Accuracy against time"
    figure = legible(pareto(times, statistics, comparable=comparable, title=title))
    steps = [line for line in figure.axes[0].lines if line.get_drawstyle() == "steps-post"]
    front = [[[30, 0.98], [slowest, 0.99]]] if comparable else []
    assert [line.get_xydata().tolist() for line in steps] == front
    words = "no Pareto front: training times cannot be compared"
    assert ("Pareto front: mlp, cnn" if comparable else words) in texts(figure)
    assert "svm: 0.9700, 60 s" in texts(figure)


def test_learning_curves():
    history = [
        {"loss": 0.5, "accuracy": 0.8, "val_loss": 0.4, "val_accuracy": 0.85},
        {"loss": 0.3, "accuracy": 0.9, "val_loss": 0.35, "val_accuracy": 0.88},
    ]
    figure = legible(learning_curves({"mlp": history, "cnn": history}, title="x"))
    loss, accuracy = ([line.get_ydata().tolist() for line in axes.lines] for axes in figure.axes)
    assert loss == [[0.5, 0.3], [0.4, 0.35]] * 2
    assert accuracy[:2] == [[0.8, 0.9], [0.85, 0.88]]
    assert "cnn, validation" in texts(figure)


def test_saved_picture_is_the_same_whatever_the_font_lacks(tmp_path):
    frame = _exploration.class_distribution(np.array([0, 1]), names=["猫", "x" * 100])
    paths = tmp_path / "new folder" / "a.png", tmp_path / "b.png"
    for path in paths:
        save(class_distribution(frame), path)  # a warning is an error here
    first, second = (path.read_bytes() for path in paths)
    assert first == second
    assert first.startswith(b"\x89PNG")


def test_bars_beside_a_long_name_are_not_cut():
    frame = _exploration.class_distribution(np.array([0, 1]), names=["cat", "a word " * 14])
    assert "2 images by class, before they are split" in texts(legible(class_distribution(frame)))
