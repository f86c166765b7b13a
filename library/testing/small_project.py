"""A small DVC project whose stages a test makes slow or fail."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

STAGES = """\
stages:
  prepare:
    cmd: python stage.py prepare
    deps: [raw.txt, data]
    params: [seed]
    outs: [artifacts/prepare.txt]
  train:
    matrix:
      model: [mlp, cnn]
    cmd: python stage.py train ${item.model}
    meta: {timed: true}
    deps: [artifacts/prepare.txt]
    params: [train.threads, "train.${item.model}"]
    outs: ["artifacts/train-${item.model}.txt"]
  compare:
    cmd: python stage.py compare
    deps: [artifacts/train-mlp.txt, artifacts/train-cnn.txt]
    outs: [artifacts/compare.txt: {cache: false}]
"""

# Each stage writes what it got; files in the folder CONTROL say which of them sleeps or fails.
STAGE = """\
import json, os, sys, time
from pathlib import Path
import yaml

params = yaml.safe_load(Path("params.yaml").read_text())
name = "-".join(sys.argv[1:])
control = Path(os.environ.get("CONTROL", "/nonexistent"))
with open(control / "log", "a") if control.is_dir() else open(os.devnull, "w") as log:
    print(name, os.getpid(), time.time(), "start", file=log)
failing = control / f"{name}.fails"
if failing.exists():
    print("error: no disk left on the moon")
    code, *later = failing.read_text().split()
    failing.write_text(" ".join(later)) if later else failing.unlink()
    sys.exit(int(code))

def seconds(switch):
    path = control / f"{name}.{switch}"
    return float(path.read_text()) if path.exists() else 0

def work():
    epochs = params["train"].get(sys.argv[-1], {}).get("fit", {}).get("epochs", 0)
    for epoch in range(epochs):
        print(f"{name} epoch {epoch + 1}/{epochs}", flush=True)
    time.sleep(seconds("sleeps"))
    out = Path(f"artifacts/{name}.txt")
    out.parent.mkdir(exist_ok=True)
    keep = ("DVC_EXP_NAME", "PREFECT__FLOW_RUN_ID")
    made = [name, params["seed"], params["train"]["mlp"]["fit"], data()]
    out.write_text(json.dumps(made, sort_keys=True))  # params.yaml may be sorted by a test
    with open(control / "log", "a") if control.is_dir() else open(os.devnull, "w") as log:
        print(name, os.getpid(), time.time(), "end", *(os.environ.get(k) for k in keep), file=log)

def data():
    if name == "prepare":
        return Path("data/images.csv").read_text()
    made = "prepare" if name.startswith("train-") else "train-mlp"
    return json.loads(Path(f"artifacts/{made}.txt").read_text())[-1]

work()
"""


def run(*command, cwd, env=None):
    """Run a command that must succeed, with `env` besides, and return what it printed."""
    path = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    env = {**os.environ, **path, **(env or {})}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def create(root, params):
    """Make the folder, a project with this params.yaml in it, and a first commit."""
    root.mkdir()
    shutil.copy(params, root)
    (root / "dvc.yaml").write_text(STAGES)
    (root / "stage.py").write_text(STAGE)
    (root / "raw.txt").write_text("raw")
    (root / "spaces").mkdir()
    (root / "spaces" / "mlp.yaml").write_text("fit.batch_size: [64, 128]\n")
    (root / "data").mkdir()
    (root / "data" / "images.csv").write_text("1")
    ignored = ("/artifacts/*", "!/artifacts/compare.txt", "/.prefect", "/.state", "/mlflow.db*")
    (root / ".gitignore").write_text("\n".join([*ignored, "__pycache__/", ""]))
    run("git", "init", "-q", "-b", "main", cwd=root)
    for command in ("init", "config core.analytics false", "add data"):
        run(sys.executable, "-m", "dvc", *command.split(), "-q", cwd=root)
    for command in ("config user.name t", "config user.email t@example.org", "add ."):
        run("git", *command.split(), cwd=root)
    run("git", "commit", "-qm", "start", cwd=root)


class Project:
    """The small project, and the switches by which a test makes its stages slow or fail."""

    def __init__(self, root, control):
        self.root = root
        self.control = control

    def fails(self, stage, *codes):
        """The stage ends with these exit codes when it runs next, one after the other."""
        (self.control / f"{stage}.fails").write_text(" ".join(map(str, codes)))

    def sleeps(self, stage, seconds):
        """From now on the stage takes so long."""
        (self.control / f"{stage}.sleeps").write_text(str(seconds))

    def works(self):
        """From now on no stage is slow or fails."""
        for switch in self.control.glob("*.*"):
            switch.unlink()

    def log(self, event="start"):
        """What the stages noted: name, process, time, event; at the end experiment and flow run."""
        path = self.control / "log"
        lines = path.read_text().splitlines() if path.exists() else []
        return [words for words in map(str.split, lines) if words[3] == event]

    def ran(self):
        """Names of the stages that started, in order."""
        return [words[0] for words in self.log()]

    def files(self):
        """Every file of the working tree with its content."""
        others = (":!.dvc", ":!.state", ":!*.pyc")
        names = self.git("ls-files", "--cached", "--others", "--", ".", *others).split()
        return {name: (self.root / name).read_bytes() for name in names}

    def set_epochs(self, model, epochs):
        """Edit params.yaml."""
        path = self.root / "params.yaml"
        values = yaml.safe_load(path.read_text())
        values["train"][model]["fit"]["epochs"] = epochs
        path.write_text(yaml.safe_dump(values))

    def set_data(self, text):
        """Change what lies in data/, and not what data.dvc names."""
        (self.root / "data" / "images.csv").write_text(text)

    def git(self, *arguments):
        """Run a git command in the project."""
        return run("git", *arguments, cwd=self.root)

    def dvc(self, *arguments):
        """Run a DVC command in the project."""
        return run(sys.executable, "-m", "dvc", *arguments, cwd=self.root)
