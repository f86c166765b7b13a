"""Still pictures: what they show, and that all of it can be read."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.text import Text

from imageproof.answer.predict import Answer
from imageproof.data import exploration
from imageproof.judge.confusion import clustered
from imageproof.judge.scores import Mistakes
from imageproof.judge.scores import reliability as by_confidence
from imageproof.report.plots.comparison import pareto
from imageproof.report.plots.confusion import alluvial, confusion_matrix
from imageproof.report.plots.images import answers, mistakes
from imageproof.report.plots.model import learning_curves, reliability
from imageproof.report.plots.raw import class_distribution, class_images, samples
from imageproof.report.plots.theme import BLUE, VERMILION, percent, save

FASHION = [
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
]
NAMES = {2: ["no", "yes"], 10: FASHION} | {
    classes: [f"Class number {n}" for n in range(classes)] for classes in (30, 150)
}
HISTORY = [
    {"loss": 0.5, "accuracy": 0.8, "val_loss": 0.4, "val_accuracy": 0.85},
    {"loss": 0.3, "accuracy": 0.9, "val_loss": 0.35, "val_accuracy": 0.88},
]


def matrix_of(classes, errors=40):
    """A matrix of a good model: 1,000 images per class, some errors at random places."""
    rng = np.random.default_rng(0)
    matrix = np.diag(np.full(classes, 1000))
    np.add.at(matrix, tuple(rng.integers(classes, size=(2, errors))), 1)
    return matrix


def drawn(matrix, *, names, title, by=confusion_matrix):
    return by(matrix, names=names, title=title, order=clustered(matrix))


def mistakes_of(count, classes=10):
    rng = np.random.default_rng(0)
    images = rng.integers(256, size=(count, 8, 8), dtype=np.uint8)
    truth = np.arange(count) % classes
    confidence = np.linspace(1, 0.5, count, dtype=np.float32)
    return Mistakes(images, truth, (truth + 1) % classes, confidence, 100 + np.arange(count))


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


def assert_legible(figure):
    """Nothing is cut off, no text lies on another, and none is smaller than 9 points."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    width, height = figure.get_size_inches()
    used = figure.get_tightbbox()
    assert min(used.x0, used.y0) >= 0
    assert used.x1 <= width
    assert used.y1 <= height
    hidden = {id(label) for label in hidden_ticks(figure)}
    shown = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text()]
    drawn = [text for text in shown if id(text) not in hidden]
    assert min(text.get_fontsize() for text in drawn) >= 9
    upright = [text for text in drawn if text.get_rotation() % 90 == 0]
    extents = np.array([text.get_window_extent().padded(-1).extents for text in upright])
    low, high = extents[:, None, :2], extents[:, None, 2:]
    on_another = ((low <= extents[:, 2:]) & (high >= extents[:, :2])).all(axis=2)
    np.fill_diagonal(on_another, val=False)
    assert [text.get_text() for text in np.array(upright)[on_another.any(axis=0)]] == []


@pytest.mark.parametrize(
    ("count", "total", "text"),
    [
        (1, 3, "33.3 %"),
        (0, 10, "0 %"),
        (10, 10, "100 %"),
        (1, 10_000, "<0.1 %"),
        (9_999, 10_000, ">99.9 %"),
        (0, 0, "n/a"),
    ],
)
def test_percent(count, total, text):
    assert percent(count, total) == text


def test_same_figure_same_bytes(tmp_path):
    for name in ("a.png", "b.png"):
        figure = drawn(matrix_of(3), names=list("abc"), title="model")
        save(figure, tmp_path / "new folder" / name)
    first, second = sorted((tmp_path / "new folder").iterdir())
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("classes", NAMES)
def test_pictures_of_any_number_of_classes_are_legible(classes):
    names, matrix = NAMES[classes], matrix_of(classes)
    matrix[:, 0], matrix[0, 0] = 0, 2  # a class of two images among others of a thousand
    matrix[0, -1] = 500  # the most confused
    table = exploration.class_distribution(np.arange(1000) % classes, names=names)
    images = np.random.default_rng(0).uniform(0, 255, size=(classes, 8, 12))
    pictures = {
        "confusion": drawn(matrix, names=names, title="cnn, test"),
        "alluvial": drawn(matrix, names=names, title="cnn, test", by=alluvial),
        "distribution": class_distribution(table, title="1,000 images by class"),
        "averages": class_images(images, names=names, title="mean of each class"),
        "samples": samples(
            [np.ones((10, 8, 12), np.uint8)] * classes, names=names, title="samples"
        ),
    }
    for figure in pictures.values():
        assert_legible(figure)
        assert max(figure.get_size_inches()) < 32
    cells = pictures["confusion"].axes[0].texts
    assert len(cells) == (classes**2 if classes <= 20 else 0)
    assert any(text.startswith(f"{names[-1]}: 50") for text in texts(pictures["alluvial"]))
    shown = {*texts(pictures["averages"])} & {*texts(pictures["samples"])}
    assert shown >= {*names[:30]}
    assert not shown & {*names[30:]}


def test_confusion_matrix_cells():
    matrix = np.array([[90, 1], [10, 9_999]])  # rows: prediction
    figure = drawn(matrix, names=["a", "b"], title="model")
    cells = [text.get_text() for text in figure.axes[0].texts]
    assert cells == ["90\n90.0 %", "1\n<0.1 %", "10\n10.0 %", "9,999\n>99.9 %"]
    assert figure.axes[0].get_xlabel() == "Reference"
    assert figure.axes[0].get_ylabel() == "Prediction"


def test_matrix_of_many_classes_puts_confused_ones_side_by_side():
    matrix, names = matrix_of(25, errors=0), [f"class {number}" for number in range(25)]
    matrix[3, 21] = 130
    figure = drawn(matrix, names=names, title="model")
    shown = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert sorted(shown) == sorted(names)
    first, second = sorted((shown.index("class 3"), shown.index("class 21")))
    assert second == first + 1
    assert "the darkest are 11.5 % of their class" in figure.axes[0].get_title()
    [cells] = figure.axes[0].images
    row, column = shown.index("class 3"), shown.index("class 21")
    assert to_hex(cells.get_array()[row, column]).upper() == "#D55E00"


ERRORS = np.array([[90, 1, 0], [10, 99, 0], [0, 0, 50]])
GARMENTS = ["shirt", "bag", "boot"]


def ribbons(figure):
    """Width at the left and colour of each ribbon, in the order they are drawn."""
    patches = figure.axes[0].patches
    ends = [patch.get_path().vertices for patch in patches]
    return [
        (end[7, 1] - end[0, 1], to_hex(patch.get_facecolor()).upper())
        for end, patch in zip(ends, patches, strict=True)
    ]


def test_alluvial_ribbons():
    figure = drawn(ERRORS, names=GARMENTS, title="model", by=alluvial)
    widths, colours = zip(*ribbons(figure), strict=True)
    assert colours == (*["#C4C4C4"] * 3, *["#C4122F"] * 2)
    assert widths == pytest.approx((90 / 11, 9, 50 / 11, 1, 10))
    assert "grey: correct, drawn 11 times narrower than errors · red: errors" in texts(figure)


def test_alluvial_without_class():
    matrix = np.array([[5, 0, 2], [0, 0, 1], [0, 0, 0]])
    written = [
        text
        for text in texts(drawn(matrix, names=list("abc"), title="", by=alluvial))
        if ":" in text
    ]
    assert sorted(written) == [
        *("a: 0 of 5 wrong", "a: 2 of 7 wrong", "b: 1 of 1 wrong", "c: 3 of 3 wrong"),
        "grey: correct · red: errors",
    ]


@pytest.mark.parametrize(("channels", "blank"), [((), 0), ((3,), 255)], ids=["grey", "colour"])
def test_samples_stand_apart_in_rows(channels, blank):
    images = [np.full((2, 3, 4, *channels), 50, np.uint8), np.full((1, 3, 4, *channels), 90)]
    page = samples(images, names=["a", "b"], title="").axes[0].images[0].get_array()
    for rows, columns, value in ((0, 0, 50), (0, 5, 50), (4, 0, 90), (4, 5, blank)):
        assert (page[rows : rows + 3, columns : columns + 4] == value).all()


def test_class_images_of_colour():
    images = np.stack([np.full((8, 8, 3), (100.0, 50.0, 0.0)), np.full((8, 8, 3), np.nan)])
    figure = class_images(images, names=["red", "none"], title="mean")
    assert_legible(figure)
    np.testing.assert_allclose(figure.axes[0].images[0].get_array()[0, 0], (1, 0.5, 0))
    assert "full brightness is 100 of 255" in texts(figure)
    assert [text.get_text() for text in figure.axes[1].texts] == ["no image"]


def test_mistakes_of_colour_in_files():
    found = mistakes_of(3)
    files = np.array([f"test/ankle boot/a long name {number}.png" for number in range(3)])
    found = found._replace(images=np.stack([found.images] * 3, axis=-1), rows=files)
    figure = mistakes(found, np.ones((3, 8, 8)), names=FASHION, title="")
    assert_legible(figure)
    assert figure.axes[1].get_xlabel().endswith(" %\n…t/a long name 1.png")
    np.testing.assert_allclose(figure.axes[2].images[0].get_array()[:8], found.images[2] / 255)


def test_mistakes():
    found = mistakes_of(8)
    found = found._replace(rows=np.array([f"row {row}" for row in found.rows]))
    heat = np.linspace(-1, 0.5, 64 * 8).reshape(8, 8, 8)
    figure = mistakes(found, heat, names=FASHION, title="cnn, test: most confident mistakes")
    assert_legible(figure)
    first = figure.axes[0]
    assert first.get_title() == "is T-shirt/top"
    assert first.get_xlabel() == "called Trouser\n>99.9 %, row 100"
    assert figure.axes[7].get_xlabel() == "called Bag\n50.0 %, row 107".replace("Bag", FASHION[8])
    drawn = first.images[0].get_array()
    np.testing.assert_allclose(drawn[:8, :, 1], 1 - found.images[0] / 255)
    np.testing.assert_allclose(drawn[9, 0], to_rgb(BLUE))  # the strongest of all, against
    last = figure.axes[7].images[0].get_array()
    np.testing.assert_allclose(last[-1, -1], to_rgb(VERMILION))
    assert_legible(mistakes(mistakes_of(0), heat[:0], names=FASHION, title="cnn"))


def test_explained_answers_have_names_or_numbers():
    images, heat = np.zeros((2, 8, 6, 3), np.uint8), np.zeros((2, 8, 6))
    given = [Answer(f"a long name {k}.png", k, [0.1, 0.9], "pad", [k], False) for k in range(2)]
    figure = answers(images, heat, given, names=["no", "yes"], title="models:/imageproof/3")
    assert_legible(figure)
    assert figure.axes[1].get_xlabel() == "called yes\n90.0 %\na long name 1.png"
    figure = answers(images[:1], heat[:1], given[:1], names=None, title="models:/imageproof/3")
    assert_legible(figure)
    assert figure.axes[0].get_xlabel().startswith("called 0\n")


def confident(rows, concentration):
    """Accuracy by confidence of a model of ten classes that is as right as it says."""
    random = np.random.default_rng(0)
    chances = random.dirichlet(np.full(10, concentration), size=rows).astype(np.float32)
    chances /= chances.sum(axis=1, keepdims=True)
    return by_confidence(chances, np.array([random.choice(10, p=row) for row in chances]))


def test_reliability():
    table = confident(5_000, 0.1)
    figure = reliability({"test": table}, title="cnn")
    assert_legible(figure)
    [points] = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    np.testing.assert_allclose(points.get_xydata(), table[["confidence", "accuracy"]])
    ends = np.array(figure.axes[0].collections[0].get_segments())[:, :, 1]
    np.testing.assert_allclose(ends, table[["lower", "upper"]])
    counted = [text.get_text() for text in figure.axes[1].texts]
    assert counted == [f"{rows:,}" for rows in table["rows"]]


ACCURACY = {"mlp": (0.98, 0.977, 0.983), "cnn": (0.99, 0.988, 0.992), "svm": (0.97, 0.966, 0.974)}


@pytest.mark.parametrize(("slowest", "scale"), [(400.0, "log"), (70.0, "linear")])
def test_pareto_scale_and_front(slowest, scale):
    seconds = {"mlp": 30.0, "cnn": slowest, "svm": 60.0}
    figure = pareto(seconds, ACCURACY, front=["cnn", "mlp"], title="Accuracy against time")
    assert figure.axes[0].get_xscale() == scale
    assert ("(logarithmic)" in figure.axes[0].get_xlabel()) == (scale == "log")
    assert_legible(figure)
    front = figure.axes[0].lines[0]
    assert front.get_xdata().tolist() == [30, slowest]
    assert front.get_ydata().tolist() == [0.98, 0.99]
    assert "svm\n0.9700, 60 s" in texts(figure)
    heights = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert {len(text) for text in heights} == {len("0.970")}


def test_pareto_of_times_that_differ_little():
    seconds = {"mlp": 20.0, "cnn": 22.0, "compact": 18.1, "a_rather_long_name": 20.1}
    accuracy = dict.fromkeys(seconds, (0.985, 0.965, 0.99))
    figure = pareto(seconds, accuracy, front=["compact"], title="Accuracy against time")
    assert_legible(figure)


def test_pareto_without_comparable_times():
    seconds = {"mlp": 30.0, "cnn": 70.0, "svm": 60.0}
    figure = pareto(seconds, ACCURACY, front=[], title="Accuracy against time")
    [legend] = figure.legends[0].get_texts()
    assert legend.get_text() == "no Pareto front: training times cannot be compared"
    assert figure.axes[0].lines[0].get_xdata().tolist() == []


def test_learning_curves_ring_the_kept_epoch():
    figure = learning_curves({"mlp": HISTORY, "cnn": HISTORY}, title="x", kept={"cnn": 1})
    loss, accuracy = ([line.get_ydata().tolist() for line in axes.lines] for axes in figure.axes)
    assert loss == [[0.5, 0.3], [0.4, 0.35], [0.5, 0.3], [0.35], [0.4, 0.35]]
    assert accuracy[:2] == [[0.8, 0.9], [0.85, 0.88]]
    named = [text.get_text() for text in figure.legends[0].texts if "kept" in text.get_text()]
    assert named == ["cnn, validation (epoch 1 is kept)"]
    assert_legible(figure)


def test_a_letter_that_the_font_lacks(tmp_path):
    frame = exploration.class_distribution(np.array([0, 1]), names=["猫", "x" * 100])
    # a warning is an error here
    save(class_distribution(frame, title=""), tmp_path / "picture.png")
