"""What tests of the library and of its projects share, beside fixtures."""

import html
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import chdir, contextmanager
from copy import deepcopy
from pathlib import Path
from uuid import uuid4

import numpy as np
import psutil
import pytest
from markdown_it import MarkdownIt
from PIL import Image
from ruamel.yaml import YAML

from imageproof.artifacts import WORKSPACE
from imageproof.base._dataset import EVALUATED, ImageParams, RawData, save_arrays
from imageproof.base._naming import project_name
from imageproof.base.errors import DataError
from imageproof.base.files import md5, write_json
from imageproof.data import packed, packing
from imageproof.data.packed import SOURCE_HASH, SUMMARY, Packed
from imageproof.data.packing import describe
from imageproof.data.readers._raw import read_parts
from imageproof.data.splitting import split, summarise_splits
from imageproof.dvc.params_yaml import set_keys
from imageproof.dvc.provenance import data_md5
from imageproof.outputs import BaselineRecord, RunRecord
from imageproof.system import _repository

# Who commits in a process that has no git configuration.
AUTHOR = {
    f"GIT_{role}_{field}": value
    for role in ("AUTHOR", "COMMITTER")
    for field, value in (("NAME", "test"), ("EMAIL", "test@localhost"))
}

# 1,000,000,000 values in 240 bytes
BOMB = "a0: &a0 [x]\n" + "".join(f"a{k}: &a{k} [{f'*a{k - 1},' * 10}]\n" for k in range(1, 10))


class Page:
    """A text in Markdown as it is shown: its tags, its texts in <code>, and those outside."""

    def __init__(self, text):
        page = MarkdownIt("commonmark").enable("table").render(text)
        code = re.compile("<code.*?>(.*?)</code>", re.S)
        self.tags = re.findall(r"<(\w+)", page)
        self.code = [html.unescape(text) for text in code.findall(page)]
        self.outside = html.unescape(re.sub(r"<.*?>", "", code.sub("", page), flags=re.S))


def write_baseline():
    """The outputs of a baseline that always answers class 0."""
    answers = {}
    metrics = {}
    for name in EVALUATED:
        labels = WORKSPACE.read_split(name).data.labels
        answers[name] = np.eye(labels.max() + 1, dtype=np.float32)[np.zeros_like(labels)]
        interval = {"accuracy_lower": 0.0, "accuracy_upper": 0.5}
        metrics[name] = {"accuracy": float(np.mean(labels == 0))} | interval
    save_arrays(WORKSPACE.baseline.predictions, answers)
    record = BaselineRecord(name="colour histogram", rows=9, accuracies={"colour histogram": 0.1})
    write_json(WORKSPACE.baseline.record, record.model_dump())
    write_json(WORKSPACE.baseline.metrics, metrics)


def as_packed(raw):
    """Arrays as the `pack` stage gives them to later stages; they may hold other than uint8."""
    parts = {part: data for part, data in raw._asdict().items() if data is not None}
    images = np.concatenate([data.images for data in parts.values()])
    table = describe(images)
    columns = {
        "part": np.repeat([*parts], [len(data) for data in parts.values()]),
        "label": np.concatenate([data.labels for data in parts.values()]),
        "fault": None,
        SOURCE_HASH: table["hash"],
        "height": images.shape[1],
        "width": images.shape[2],
        "mode": "grey",
        "file": "data/images.csv",
    }
    rows = table.assign(**columns)
    rows["row"] = rows.groupby("part").cumcount()
    rows["name"] = [f"row {row}" for row in rows["row"]]
    return Packed(np.nan_to_num(images).astype(np.uint8), rows)


def run_record(name, **changes):
    """What a training of the model writes into run.json."""
    ids = {"run_id": uuid4().hex, "model_id": "m-1", "experiment_id": "1"}
    maps = {"params": {}, "tags": {}, "datasets": {}}
    texts = {"tracking_uri": "sqlite:///mlflow.db", "params_yaml": ""}
    return RunRecord(name=name, **(ids | maps | texts | changes))


def onnx_model(text, **weights):
    """The ONNX model of this text, in ONNX's own notation, with these weights."""
    from onnx import numpy_helper, parser

    model = parser.parse_model(text)
    for name, values in weights.items():
        model.graph.initializer.append(numpy_helper.from_array(values, name))
    return model


LINEAR = """
<ir_version: 8, opset_import: ["" : 17]>
linear (uint8[n,{shape}] images) => (float[n,{classes}] probabilities) {{
  values = Cast<to: int = 1>(images)
  features = Flatten(values)
  logits = Gemm(features, kernel, bias)
  probabilities = {last}(logits)
}}
"""


def linear_model(kernel, bias, shape, last="Softmax"):
    """An ONNX model whose last node gets `pixels @ kernel + bias`."""
    sides = ",".join(map(str, shape))
    text = LINEAR.format(shape=sides, classes=len(bias), last=last)
    return onnx_model(text, kernel=kernel, bias=bias)


def git(*arguments):
    """Run git in the current folder; what it printed."""
    return _repository.git(Path(), *arguments, **AUTHOR)


def commit(*paths):
    """Make the current folder a repository whose commit holds these files."""
    git("init", "-q")
    git("add", *paths)
    git("commit", "-qm", "x")


def clone_without_history(of, root):
    """Clone a repository with one commit, and DVC's remote outside git.

    DVC compresses all that its commits hold for each experiment.
    """
    subprocess.run(["git", "clone", "--quiet", of, root], check=True)
    with chdir(root):
        git("rm", "--quiet", "-r", "--cached", "--ignore-unmatch", "dvc-store")
        git("update-ref", "HEAD", git("commit-tree", git("write-tree"), "-m", "start"))


def record_outputs():
    """Write a dvc.lock that records every file under artifacts/ as it is, and what was read."""
    files = sorted(path for path in Path("artifacts").rglob("*") if path.is_file())
    outs = [{"path": str(path), "md5": md5(path)} for path in files]
    splits = {"deps": [out for out in outs if out["path"].startswith("artifacts/split/")]}
    stages = {
        "all": {"outs": outs},
        "validate": {"deps": [{"path": "data", "md5": data_md5()}]},
        "baseline": splits,
        **{f"evaluate@{path.name}": splits for path in Path("artifacts/evaluate").glob("*")},
    }
    lock = json.dumps({"stages": stages})  # is YAML, too
    Path("dvc.lock").write_text(lock, "utf-8")


def findings(error, work, /, *arguments, **options):
    """The findings of the error with which the work ends so; each is one line indeed."""
    with pytest.raises(error) as caught:
        work(*arguments, **options)
    lines = list(caught.value.findings)
    assert lines
    assert not any("\n" in line for line in lines)
    return lines


def finding(error, work, /, *arguments, **options):
    """The only finding of the error with which the work ends so."""
    [line] = findings(error, work, *arguments, **options)
    return line


def put_pictures(folder, *names):
    """Different grey pictures of 4×4 pixels."""
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4), number % 256).save(folder / name, "PNG")
    return folder


def pack_warnings(names=None, *, classes=2, **image):
    """Pack `data` into `packed`, as `packing.pack`; what is warned of."""
    form = ImageParams(**{"size": "auto", "channels": "auto", "fit": "stretch", **image})
    *_, warnings = packing.pack(Path("data"), Path("packed"), form, classes, names)
    return [*warnings]


def pack_data(names=None, **options):
    """Pack `data` so; what later stages read."""
    pack_warnings(names, **options)
    return packed.load(Path("packed"))


def read_raw(scratch=None):
    """The training part in `data`, and its test part if it has one."""
    train, *tests = (part.data for part in read_parts(Path("data"), scratch))
    return RawData(train, tests[0] if tests else None)


def refusal():
    """The only finding with which the readers refuse what is in `data`."""
    return finding(DataError, read_parts, Path("data"))


def python(*arguments, **options):
    """Run Python in a fresh process, to its end."""
    defaults = {"capture_output": True, "text": True, "check": False, "timeout": 120}
    return subprocess.run([sys.executable, *map(str, arguments)], **(defaults | options))


@contextmanager
def served(app):
    """The port on which the app is served within the block."""
    import uvicorn

    from imageproof.system.guard import listen

    with listen(0) as listening:
        config = uvicorn.Config(app, log_level="warning", lifespan="off")
        running = uvicorn.Server(config)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]})
        thread.start()
        assert until(lambda: running.started)
        yield listening.getsockname()[1]
        running.should_exit = True
        thread.join()


@contextmanager
def mlflow_serves(folder, *options, env=None):
    """The address of an `mlflow server` on the folder's `mlflow.db`; `env` is beside ours."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(port)]
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(
            [*command, "--backend-store-uri", f"sqlite:///{folder}/mlflow.db", *options],
            cwd=folder,
            env={**os.environ, **(env or {})},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        assert until(lambda: answers(port), seconds=120), (folder / "server.log").read_text()
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=30)


def free_port():
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def answers(port):
    """Whether somebody listens on the port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def until(condition, *, seconds=20):
    """Wait for the condition; whether it came true in time."""
    end = time.monotonic() + seconds
    while not (came_true := condition()) and time.monotonic() < end:
        time.sleep(0.1)
    return came_true  # asked once more, what came true may be over


def has_ended(pid):
    """Whether the process has ended; in a container nobody may have collected it since."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def with_changes(values, changes):
    """The values of a params.yaml, with dotted keys set to other values."""
    result = deepcopy(dict(values))
    set_keys(result, deepcopy(changes))
    return result


def dump_params(values):
    """Write params.yaml into the current folder."""
    with Path("params.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe").dump(values, file)


def write_splits(data, params, seed):
    """Write what the stages `pack`, `split` and `baseline` write of this data."""
    rows = as_packed(RawData(data, None)).rows
    parts = split(rows, percent=100, params=params, seed=seed)
    WORKSPACE.split("train").parent.mkdir(parents=True)
    WORKSPACE.pack.mkdir()
    rows.to_parquet(WORKSPACE.packed_rows)
    WORKSPACE.write_splits(parts, data, packed.load_hashes(WORKSPACE.pack))
    sources = {"train": {"file": "data/images.csv", "rows": len(data)}}
    write_json(WORKSPACE.pack / SUMMARY, {"class_names": None, "sources": sources})
    write_json(WORKSPACE.split_summary, summarise_splits(parts, rows) | {"sources": sources})
    write_baseline()
    record_outputs()


def active_run(name, *, params, tags):
    """An active run of the project, as a training has it."""
    from imageproof.mlflow import _runs

    return _runs.active_run(name, experiment=project_name(), view=True, params=params, tags=tags)


def only_run(client):
    """The one run of the models' experiment."""
    experiment = client.get_experiment_by_name(project_name())
    assert experiment is not None
    [run] = client.search_runs([experiment.experiment_id])
    return run
