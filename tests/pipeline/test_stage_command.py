"""What DVC records of a stage is what its command read: real stages, and edits while they run."""

import json
import os
import shutil
import subprocess
import sys
from contextlib import chdir
from pathlib import Path
from typing import NamedTuple

import pytest
from helpers import AUTHOR
from mlflow import MlflowClient
from PIL import Image
from small_project import run
from support import REPOSITORY, SMALL, write_params

from imageproof.base.dataset import Dataset
from imageproof.system.process import SOURCES

pytestmark = pytest.mark.slow

# Appended to modules that no stage depends on: edits at a stage's start and at an epoch's end.
AT_START = "\n\nimport os\nfrom pathlib import Path\n\nexec(os.environ.get('AT_START', ''))\n"
AT_EPOCH = """

import json
import os
from pathlib import Path

_metrics_at = metrics_at


def metrics_at(epoch, metrics):
    exec(os.environ.get("AT_EPOCH", ""))
    return _metrics_at(epoch, metrics)
"""
HOOKS = {"src/digits/params.py": AT_START, "library/imageproof/mlflow/runs.py": AT_EPOCH}
PARAMS_YAML = Path("params.yaml")
RAW_PLOTS = "library/imageproof/report/plots/raw.py"
PAGE = "library/imageproof/report/index.html.j2"
MODEL = "src/digits/models/mlp.py"
TEST_ROWS = "artifacts/split/test.npz"


def replacing(path: object, before: str, after: str) -> str:
    """Python that edits a file."""
    return f"p = Path('{path}'); p.write_text(p.read_text().replace({before!r}, {after!r}))"


def appending(path: str, text: str) -> str:
    return f"p = Path('{path}'); p.write_bytes(p.read_bytes() + {text.encode()!r})"


NEW_PICTURE = "Path(f'data/3/new-{n}.png').write_bytes(Path('data/3/3.png').read_bytes())"
RATE = replacing(PARAMS_YAML, "learning_rate: 0.001", "learning_rate: 0.5")
# By name: the stage, the edit at its start, and what its error names.
EDITS = {
    "pictures": (
        "pack",
        f"[{NEW_PICTURE} for n in range(20)]",
        "data/3/new-0.png, data/3/new-1.png, data/3/new-10.png, …",
    ),
    "checks": ("validate", "Path('gx/expectations/new.json').touch()", "gx/expectations/new.json"),
    "plots": ("explore", appending(RAW_PLOTS, "# a line\n"), RAW_PLOTS),
    "seed": ("split", replacing(PARAMS_YAML, "seed: 42", "seed: 43"), "params.yaml seed"),
    "model": ("train@mlp", appending(MODEL, "# a line\n"), MODEL),
    "output of another stage": ("evaluate@mlp", appending(TEST_ROWS, "x"), TEST_ROWS),
    "gate": (
        "compare",
        replacing(PARAMS_YAML, "min_accuracy: 0.97", "min_accuracy: 0.5"),
        "params.yaml promote.min_accuracy",
    ),
    "template": ("report", appending(PAGE, "<!-- -->"), PAGE),
}


class Project(NamedTuple):
    """A project of the real stages, on 8×8 digits."""

    root: Path

    def dvc(self, *arguments: str, **edits: str) -> "subprocess.CompletedProcess[str]":
        """Run DVC; `edits` are Python that runs within a stage, by hook."""
        return self.run("-m", "dvc", *arguments, **edits)

    def digits(self, *arguments: str, **edits: str) -> "subprocess.CompletedProcess[str]":
        """Run a command of ours."""
        return self.run("-c", "from digits.project import main; main()", *arguments, **edits)

    def run(self, *arguments: str, **edits: str) -> "subprocess.CompletedProcess[str]":
        """Run Python in the project, in the environment of the tests."""
        env = {k: v for k, v in os.environ.items() if not k.startswith(("DVC_", "PYTHONPATH"))}
        env |= {**AUTHOR, **edits, "PATH": f"{Path(sys.executable).parent}:{env['PATH']}"}
        command = [sys.executable, *arguments]
        return subprocess.run(command, cwd=self.root, env=env, capture_output=True, text=True)

    def run_statuses(self) -> list[str]:
        """Of all runs in MLflow, the oldest first."""
        client = MlflowClient(f"sqlite:///{self.root}/mlflow.db")
        experiments = [each.experiment_id for each in client.search_experiments()]
        return [each.info.status for each in client.search_runs(experiments)][::-1]

    def recorded(self) -> tuple[str, list[str]]:
        """dvc.lock, and the entries of the run cache."""
        entries = (self.root / ".dvc/cache/runs").rglob("*")
        return (self.root / "dvc.lock").read_text("utf-8"), sorted(map(str, entries))


def write_project(root: Path, data: Dataset, migrated: Path) -> Project:
    """Make the project, and run its pipeline once."""
    ignore = shutil.ignore_patterns("__pycache__")
    for folder in SOURCES:
        shutil.copytree(REPOSITORY / folder, root / folder, ignore=ignore)
    for module, hook in HOOKS.items():
        with (root / module).open("a", encoding="utf-8") as file:
            file.write(hook)
    for number, (image, label) in enumerate(zip(data.images, data.labels, strict=True)):
        path = root / f"data/{label}/{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    with chdir(root):
        write_params(SMALL | {"validate.max_mean_ink": 255})
    shutil.copy(migrated, root / "mlflow.db")
    for command in ("git init -q -b main", "dvc init -q", "dvc config core.analytics false"):
        run(*command.split(), cwd=root)
    shutil.copytree(REPOSITORY / ".dvc/plots", root / ".dvc/plots")
    for name in ("dvc.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(REPOSITORY / name, root)
    run("dvc", "add", "-q", "data", cwd=root)
    run("git", "add", ".", cwd=root)
    run("git", "commit", "-qm", "start", cwd=root, env=AUTHOR)
    project = Project(root)
    done = project.dvc("repro")
    assert done.returncode == 0, done.stdout + done.stderr
    run("git", "add", ".", cwd=root)
    run("git", "commit", "-qm", "results", cwd=root, env=AUTHOR)
    return project


@pytest.fixture(scope="module")
def template(
    tmp_path_factory: pytest.TempPathFactory, images_8x8: Dataset, migrated: Path
) -> Project:
    """The project after its pipeline ran once. To be read only."""
    return write_project(tmp_path_factory.mktemp("real") / "project", images_8x8, migrated)


@pytest.fixture
def project(template: Project, tmp_path: Path) -> Project:
    """A copy of it."""
    return Project(shutil.copytree(template.root, tmp_path / "project", symlinks=True))


def error(done: "subprocess.CompletedProcess[str]") -> str:
    """The only error line of a command that failed."""
    assert done.returncode != 0
    [line] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    return line


@pytest.mark.parametrize("edited", EDITS)
def test_edit_while_a_stage_runs_fails_it(edited: str, project: Project) -> None:
    stage, edit, name = EDITS[edited]
    recorded, statuses = project.recorded(), project.run_statuses()
    done = project.dvc("repro", "--force", "--single-item", stage, AT_START=edit)
    assert error(done) == (
        f"error: {name} changed while the stage ran, so nothing is recorded; "
        f"`dvc repro {stage}` runs it with what is there now"
    )
    assert project.recorded() == recorded
    assert project.run_statuses() == statuses


@pytest.mark.parametrize(
    ("edit", "key"),
    [
        (RATE, "optimizer.learning_rate"),
        (replacing(PARAMS_YAML, "epochs: 2", "epochs: 9"), "fit.epochs"),
    ],
    ids=["learning rate", "epochs"],
)
def test_edit_while_a_model_trains_fails_its_run(edit: str, key: str, project: Project) -> None:
    recorded = project.recorded()
    done = project.dvc("repro", "--force", "--single-item", "train@mlp", AT_EPOCH=edit)
    assert error(done).startswith(f"error: params.yaml train.mlp.{key} changed while ")
    assert project.recorded() == recorded
    assert project.run_statuses() == ["FINISHED", "FAILED"]
    assert len([*(project.root / ".state/trainings").glob("*.npz")]) == 1


def test_touched_files_and_edits_taken_back_fail_nothing(project: Project) -> None:
    touch = "[path.touch() for path in Path('data').rglob('*')]"
    back = replacing(PARAMS_YAML, "seed: 43", "seed: 42")
    edit = "; ".join([touch, EDITS["seed"][1], back, appending(MODEL, "")])
    done = project.dvc("repro", "--force", "--single-item", "split", AT_START=edit)
    assert done.returncode == 0, done.stderr
    done = project.dvc("repro", "--force", "--single-item", "pack", AT_START=edit)
    assert done.returncode == 0, done.stderr
    assert "up to date" in project.dvc("status").stdout


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (RATE, "learning_rate was 0.001, dvc.lock records 0.5; "),
        (
            appending("src/digits/training/fit.py", "# a line\n"),
            "dvc.lock records another src/digits/training than its commit ",
        ),
    ],
    ids=["params", "code"],
)
def test_gate_refuses_a_run_that_dvc_lock_contradicts(
    edit: str, said: str, project: Project
) -> None:
    with chdir(project.root):
        exec(edit)
    assert project.digits("promote", "mlp", "--dry-run").returncode in (0, 5)  # not that of here
    assert project.dvc("commit", "--force", "train@mlp").returncode == 0
    line = error(refused := project.digits("promote", "mlp", "--dry-run"))
    assert refused.returncode == 7
    assert line.startswith("error: train@mlp: of its recorded training, ")
    assert said in line


def test_stage_runs_the_code_of_its_folder(project: Project) -> None:
    show = {"AT_START": "import imageproof as i; print('code of', __file__, 'and', i.__file__)"}
    library = "library/imageproof/__init__.py\n"
    done = project.dvc("repro", "--force", "--single-item", "explore", **show)
    own = f"code of {project.root}/src/digits/params.py and {project.root}/{library}"
    assert own in done.stdout, done.stderr
    command = ("exp", "run", "--temp", "--force", "--single-item", "explore")
    done = project.dvc(*command, **show)
    [line] = [line for line in done.stdout.splitlines() if line.startswith("code of ")]
    assert line.count(f"{project.root}/.dvc/tmp/exps/") == 2


def test_reproduce_runs_the_code_of_its_clone(project: Project) -> None:
    project.digits("promote", "mlp")
    show = {
        "AT_START": "import imageproof; print('code of', Path.cwd(), __file__, imageproof.__file__)"
    }
    done = project.digits("reproduce", "models:/digits/1", **show)
    assert done.returncode == 0, done.stderr
    code = {tuple(line.split()[2:]) for line in done.stderr.splitlines() if "code of" in line}
    [(folder, file, library)] = code
    assert folder != str(project.root)
    assert file == f"{folder}/src/digits/params.py"
    assert library == f"{folder}/library/imageproof/__init__.py"


@pytest.mark.parametrize("folder", ["src/digits", "library/imageproof"])
def test_stage_without_its_folder_s_code_fails(project: Project, folder: str) -> None:
    shutil.move(project.root / folder, project.root / "elsewhere")
    done = project.run("-m", "digits.stages.explore", DVC_STAGE="explore")
    assert done.returncode == 4
    assert error(done).startswith(f"error: {project.root}: holds not the code that runs, ")


def test_experiment_shows_no_figure_of_another_model(project: Project) -> None:
    command = ("exp", "run", "--temp", "--name", "short", "-S", "train.mlp.fit.epochs=1")
    assert project.dvc(*command, "train@mlp").returncode == 0
    shown = json.loads(project.dvc("exp", "show", "--json").stdout)
    [main] = [state for state in shown if state["rev"] != "workspace"]
    [short] = [each["data"]["metrics"] for each in main["experiments"][0]["revs"]]
    before = main["data"]["metrics"]
    figures = {path for path in before if "data" in before[path]}
    missing = {path for path in figures if "data" not in short.get(path, {})}
    assert missing == {"artifacts/evaluate/mlp/metrics.json", "artifacts/compare/metrics.json"}
    kept = {"artifacts/train/mlp/metrics.json", "artifacts/baseline/metrics.json"}
    assert figures - missing == kept
