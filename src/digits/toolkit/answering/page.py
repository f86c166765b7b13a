"""The page of `digits monitor`: one HTML file that carries everything and loads nothing."""

from io import BytesIO

import numpy as np
from PIL import Image

from digits.toolkit.answering.monitor import Monitored, MonitorResult
from digits.toolkit.dataset import Images
from digits.toolkit.html.templates import templates

WORDS = {
    "mean_ink": "mean grey value",
    "contrast": "contrast",
    "class_shares": "predicted classes",
    "features": "the model's features",
    "accuracy": "accuracy",
}


def render_monitor(monitored: Monitored) -> str:
    result, foreign = monitored.result, []
    if monitored.features:
        farthest = np.argsort(-monitored.features[1], kind="stable")[:24]
        foreign = [_png(image) for image in monitored.sample[farthest]]
    template = templates("digits.toolkit.answering").get_template("monitor.html.j2")
    return template.render(result=result, verdicts=verdicts(result), foreign=foreign, words=WORDS)


def verdicts(result: MonitorResult) -> list[str]:
    if not result.drift:
        found = ["Drift is not known: artifacts/split is not what this version was made with."]
    elif result.drifted:
        found = [f"Drift of {', '.join(WORDS[name] for name in result.drifted)}."]
    else:
        found = ["No drift."]
    if result.far is not None:
        far = f"{100 * result.far:.1f} % of the images are far from what the model knows"
        found.append(f"{far}; of known images it would be 5 %.")
    if got := result.accuracy:
        interval = f"95 % interval {100 * got.lower:.2f} to {100 * got.upper:.2f} %"
        found.append(f"Accuracy {100 * got.value:.2f} % on {got.rows:,} labelled rows, {interval}.")
    return found


def _png(image: Images) -> bytes:
    Image.fromarray(255 - image).save(content := BytesIO(), "png")  # dark on white
    return content.getvalue()
