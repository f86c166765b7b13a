"""Still pictures (matplotlib): every function returns a Figure of its own, without global state."""

from digits.reporting.plots.comparison import Interval, error_bars, pareto
from digits.reporting.plots.confusion import confusion_matrix
from digits.reporting.plots.curves import learning_curves
from digits.reporting.plots.mistakes import mistakes
from digits.reporting.plots.raw import class_distribution, class_images, samples
from digits.reporting.plots.style import save, to_array

__all__ = [
    "Interval",
    "class_distribution",
    "class_images",
    "confusion_matrix",
    "error_bars",
    "learning_curves",
    "mistakes",
    "pareto",
    "samples",
    "save",
    "to_array",
]
