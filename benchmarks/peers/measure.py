"""Our MLP and CNN beside the same recipes in other frameworks, which take turns."""

import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, median
from typing import Any, NamedTuple

import numpy as np

from benchmarks.markdown import table as markdown_table
from benchmarks.workspace import Training, Workspace
from imageproof.artifacts import Artifacts
from imageproof.base import _inference
from imageproof.base._machine import has_fast_bfloat16

SEEDS = 3
# The CNN's twelve would take hours.
EPOCHS = {"mlp": 30, "cnn": 1}
REQUIREMENTS = Path(__file__).with_name("requirements.txt")


class Peer(NamedTuple):
    """A row of the table; without a script it is ours."""

    precision: str
    script: str = ""
    options: tuple[str, ...] = ()


FLOAT = "float32"
BFLOAT = "bfloat16"
PEERS = {
    "ours": Peer(FLOAT),
    "ours, `mixed_precision`": Peer(BFLOAT),
    "Keras": Peer(FLOAT, "plain_keras.py"),
    "PyTorch": Peer(FLOAT, "plain_torch.py"),
    "PyTorch, compiled": Peer(FLOAT, "plain_torch.py", ("--compile",)),
    "PyTorch, autocast": Peer(BFLOAT, "plain_torch.py", (BFLOAT,)),
    "JAX, Flax": Peer(FLOAT, "plain_jax.py"),
    "scikit-learn": Peer(FLOAT, "plain_sklearn.py"),
}
OURS = {peer.precision: name for name, peer in PEERS.items() if not peer.script}


def measure_mlp(workspace: Workspace) -> Iterator[dict[str, Any]]:
    """The MLP's whole recipe."""
    return _measure(workspace, "mlp", PEERS)


def measure_cnn(workspace: Workspace) -> Iterator[dict[str, Any]]:
    """The first epochs of the CNN's recipe; scikit-learn has no convolutions."""
    return _measure(workspace, "cnn", {n: p for n, p in PEERS.items() if n != "scikit-learn"})


def _measure(workspace: Workspace, model: str, peers: dict[str, Peer]) -> Iterator[dict[str, Any]]:
    """Yields the rows so far after each round of seeds."""
    missing = [name for name, peer in peers.items() if _lacks(peer)]
    workspace.split()
    workspace.set_params(**{f"train__{model}__fit__epochs": EPOCHS[model]})
    python = make_environment(workspace.root / "peers", REQUIREMENTS)
    trainings: dict[str, list[tuple[Training, float]]] = defaultdict(list)
    for seed in range(SEEDS):
        for name in [name for name in peers if name not in missing]:
            trainings[name].append(_train(workspace, model, peers[name], seed=seed, python=python))
            print(f"{name} seed {seed}: {trainings[name][-1][0].fit_s:.1f} s", flush=True)
        rows = {name: _row(peers[name], pairs) for name, pairs in trainings.items()}
        packages = REQUIREMENTS.read_text("utf-8").split()
        settings = {
            "model": model,
            "epochs": EPOCHS[model],
            "packages": packages,
            "missing": missing,
        }
        yield {**settings, "rows": rows}


def _lacks(peer: Peer) -> bool:
    compiler = "--compile" not in peer.options or shutil.which("g++")
    arithmetic = peer.precision == FLOAT or has_fast_bfloat16()  # ours would use float32
    return not (compiler and arithmetic)


def make_environment(folder: Path, requirements: Path) -> str:
    """The Python of a new environment with these packages."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = str(folder / "bin/python")
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "-r", requirements], check=True)
    return python


def _train(
    workspace: Workspace, model: str, peer: Peer, *, seed: int, python: str
) -> tuple[Training, float]:
    """Train once; also the test accuracy 0…1."""
    if peer.script:
        python = sys.executable if "keras" in peer.script else python
        options: Any = {"script": peer.script, "python": python, "options": peer.options}
        return workspace.train_plainly(model, seed=seed, **options)
    workspace.set_params(**{f"train__{model}__fit__mixed_precision": peer.precision == BFLOAT})
    training = workspace.train(model, seed=seed)
    network = _inference.load(workspace.outputs(model).model, threads=workspace.threads)
    test = Artifacts(workspace.root).read_split("test").data
    right = network.predict(test.images).argmax(axis=1) == test.labels
    return training, float(np.mean(right))


def _row(peer: Peer, pairs: list[tuple[Training, float]]) -> dict[str, Any]:
    return {
        "precision": peer.precision,
        "seeds": len(pairs),
        **{
            name: median(getattr(training, name) for training, _ in pairs)
            for name in ("fit_s", "epoch_s", "wall_s")
        },
        "accuracy_mean": mean(accuracy for _, accuracy in pairs),
    }


def section(part: dict[str, Any]) -> str:
    """The section of the page."""
    rows = part["rows"]
    body = [
        [
            name,
            row["precision"],
            str(row["seeds"]),
            *(f"{row[figure]:.{places}f}" for figure, places in (("fit_s", 1), ("epoch_s", 2))),
            ""
            if name in OURS.values()
            else f"{rows[OURS[row['precision']]]['fit_s'] / row['fit_s']:.2f}",
            f"{row['wall_s']:.1f}",
            f"{100 * row['accuracy_mean']:.2f}",
        ]
        for name, row in rows.items()
    ]
    head = ["", "precision", "seeds", "fit s", "s per epoch", "ours / it", "process s"]
    without = (
        f" Left out for want of g++ or fast bfloat16: {', '.join(part['missing'])}."
        if part["missing"]
        else ""
    )
    sklearn = (
        " scikit-learn has no dropout and no RMSprop: it trains with Adam."
        if "scikit-learn" in rows
        else ""
    )
    return f"""## `{part["model"]}` beside other frameworks

The same rows, batches, initial weights and optimizer in the scripts of `benchmarks/peers`, as a
user of each would write them for speed, and the same threads; each epoch ends with a validation.
Epochs: {part["epochs"]}. Medians over seeds, for which all take turns. *Fit* includes compiling;
PyTorch keeps what it has compiled for the next seed. *Ours / it* compares fits of equal
precision. *Process* is from start to result.{sklearn}{without}
Of {", ".join(part["packages"])}.

{markdown_table([*head, "test accuracy % mean"], body)}"""
