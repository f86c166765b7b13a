"""What DVC records of a stage is what its command read: real stages, and edits while they run."""

import json
import shutil
from contextlib import chdir
from pathlib import Path

import pytest
from clones import Clone
from mlflow import MlflowClient
from PIL import Image
from shared import STARTUP
from support import PIPELINE, REPOSITORY, SMALL, write_params

from imageproof.system._process import SOURCES

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
HOOKS = {"src/digits/params.py": AT_START, "library/imageproof/mlflow/_runs.py": AT_EPOCH}
CODE = "library/imageproof/keras/batching.py"
PAGE = "library/imageproof/report/index.html.j2"


def setting(text, new_text):
    """Python that edits params.yaml."""
    edit = f"p.read_text().replace({text!r}, {new_text!r})"
    return f"p = Path('params.yaml'); p.write_text({edit})"


def appending(path, text):
    return f"p = Path('{path}'); p.write_bytes(p.read_bytes() + {text.encode()!r})"


NEW_PICTURE = "Path(f'data/3/new-{n}.png').write_bytes(Path('data/3/3.png').read_bytes())"
SEED = setting("seed: 42", "seed: 43")
# By stage: the edit at its start, and what its error names.
EDITS = {
    "pack": (
        f"[{NEW_PICTURE} for n in range(20)]; Path('data/.dvcignore').touch()",
        "data/.dvcignore, data/3/new-0.png, data/3/new-1.png, …",
    ),
    "explore": (appending(".dvcignore", "/data/3"), ".dvcignore"),
    "validate": ("Path('gx/expectations/new.json').touch()", "gx/expectations/new.json"),
    "split": (SEED, "params.yaml seed"),
    "report": (appending(PAGE, "<!-- -->"), PAGE),
}


class Project(Clone):
    """A project of the real stages, on 8×8 digits; `variables` of commands are edits, by hook."""

    def __init__(self, root):
        super().__init__(root, PYTHONPATH=STARTUP)

    def repro(self, stage, **variables):
        return self.run("dvc", "repro", "--force", "--single-item", stage, **variables)

    def run_statuses(self):
        """Of all runs in MLflow, the oldest first."""
        client = MlflowClient(f"sqlite:///{self.root}/mlflow.db")
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        return [run.info.status for run in client.search_runs(experiments)][::-1]

    def recorded(self):
        """dvc.lock, and the entries of the run cache."""
        entries = (self.root / ".dvc/cache/runs").rglob("*")
        return (self.root / "dvc.lock").read_text("utf-8"), {*entries}

    def commit(self):
        self.run("bash", "-c", "git add . && git commit -qm state")


@pytest.fixture(scope="module")
def template(tmp_path_factory, images_8x8, migrated):
    """The project after its pipeline ran once. To be read only."""
    root = tmp_path_factory.mktemp("real")
    project = Project(root)
    for command in ("git init -q -b main", "dvc init -q", "dvc config core.analytics false"):
        project.run(*command.split())
    for folder in (*SOURCES, ".dvc/plots"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / folder, root / folder, ignore=ignore)
    for name in ("dvc.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(REPOSITORY / name, root)
    for module, hook in HOOKS.items():
        with (root / module).open("a", encoding="utf-8") as file:
            file.write(hook)
    for number, image in enumerate(images_8x8.images[:900]):
        path = root / f"data/{images_8x8.labels[number]}/{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    shutil.copy(migrated, root / "mlflow.db")
    with chdir(root):
        write_params(SMALL | {"validate.max_mean_ink": 255})
    project.run("dvc", "add", "-q", "data")
    project.commit()
    project.run("dvc", "repro")
    project.commit()
    return root


@pytest.fixture
def project(template, tmp_path):
    """A copy of it."""
    return Project(shutil.copytree(template, tmp_path / "project", symlinks=True))


SHOW_CODE = "import imageproof; print('code of', Path.cwd(), __file__, imageproof.__file__)"


def code_of(text):
    """The folder of a stage, whose code it ran."""
    [(folder, *files)] = {
        tuple(line.split()[2:]) for line in text.splitlines() if line.startswith("code of ")
    }
    code = ("src/digits/params.py", "library/imageproof/__init__.py")
    assert files == [f"{folder}/{file}" for file in code]
    return Path(folder)


def errors(done):
    """The error lines of a command."""
    return [line for line in done.stderr.splitlines() if line.startswith("error: ")]


def test_every_stage_notices_an_edit():
    programs = [REPOSITORY / f"src/digits/stages/{stage}.py" for stage in PIPELINE]
    end = 'if __name__ == "__main__":\n    stage_command.run_stage(main)\n'
    assert all(program.read_text("utf-8").endswith(end) for program in programs)


CHANGED = "changed while the stage ran, so nothing is recorded; "


def test_edit_while_a_stage_runs_fails_it(project):
    recorded = project.recorded()
    for stage, (edit, name) in EDITS.items():
        [line] = errors(project.repro(stage, AT_START=edit, succeeds=False))
        assert line.startswith(f"error: {name} {CHANGED}")
    assert project.recorded() == recorded


def test_stage_called_in_another_folder_notices_an_edit(project):
    command = ["dvc", "repro", "--force", "--single-item", "../dvc.yaml:explore"]
    done = project.run(*command, cwd=project.root / "src", AT_START=SEED, succeeds=False)
    assert f"error: params.yaml seed {CHANGED}`dvc repro explore`" in done.stderr


def test_edit_while_a_model_trains_fails_its_run(project):
    recorded = project.recorded()
    edit = f"{setting('epochs: 2', 'epochs: 9')}; {appending(CODE, '# a line')}"
    [line] = errors(project.repro("train@mlp", AT_EPOCH=edit, succeeds=False))
    assert line.startswith(f"error: {CODE}, params.yaml train.mlp.fit.epochs {CHANGED}")
    assert project.recorded() == recorded
    assert project.run_statuses() == ["FINISHED", "FAILED"]
    assert len([*(project.root / ".state/trainings").glob("*.npz")]) == 1
    # with the same params, and other code
    project.run("git", "checkout", "params.yaml")
    assert "goes on after epoch" not in project.repro("train@mlp").stdout


def test_touched_files_and_edits_taken_back_fail_nothing(project):
    touch = "[path.touch() for path in Path('data').rglob('*')]"
    edits = [touch, SEED, setting("seed: 43", "seed: 42"), appending(CODE, "")]
    for stage in ("split", "pack"):
        done = project.repro(stage, AT_START="; ".join([*edits, SHOW_CODE]))
        assert code_of(done.stdout) == project.root
    assert "up to date" in project.run("dvc", "status").stdout


def test_gate_refuses_a_run_that_dvc_lock_contradicts(project):
    with chdir(project.root):
        exec(setting("learning_rate: 0.001", "learning_rate: 0.5"))
        exec(appending("src/digits/training/fit.py", "# a line\n"))
    project.run("dvc", "commit", "--force", "train@mlp")
    refused = project.run("digits", "promote", "mlp", "--dry-run", succeeds=False)
    assert refused.returncode == 7
    params, code = errors(refused)
    start = "error: train@mlp: its recorded training contradicts dvc.lock: "
    key = "train.mlp.optimizer.learning_rate"
    assert params.startswith(f"{start}{key} was 0.001, dvc.lock records 0.5; ")
    assert code.startswith(f"{start}dvc.lock records another src/digits/training than its commit ")


def test_reproduce_runs_the_code_of_its_clone(project):
    project.run("digits", "promote", "mlp", succeeds=False)  # so small a model is refused
    done = project.run("digits", "reproduce", "models:/digits/1", AT_START=SHOW_CODE)
    assert code_of(done.stderr) != project.root


def test_stage_without_its_folder_s_code_fails(project):
    shutil.move(project.root / "library/imageproof", project.root / "elsewhere")
    stage = ("python", "-m", "digits.stages.explore")
    done = project.run(*stage, DVC_STAGE="explore", succeeds=False)
    assert done.returncode == 4
    [line] = errors(done)
    assert line.startswith(f"error: {project.root}: does not hold the code that runs, ")


def test_experiment_runs_its_copy_and_shows_no_figure_of_another_model(project):
    command = "dvc exp run --temp --name short -S train.mlp.fit.epochs=1 train@mlp"
    copy = code_of(project.run(*command.split(), AT_START=SHOW_CODE).stdout)
    assert copy.is_relative_to(project.root / ".dvc/tmp/exps")
    _, main = json.loads(project.run("dvc", "exp", "show", "--json").stdout)
    [short] = main["experiments"][0]["revs"]
    paths, paths_of_short = (
        {path for path, metrics in state["data"]["metrics"].items() if "data" in metrics}
        for state in (main, short)
    )
    results = {f"artifacts/{stage}/metrics.json" for stage in ("train/mlp", "baseline")}
    assert paths_of_short == results
    gone = {f"artifacts/{stage}/metrics.json" for stage in ("evaluate/mlp", "compare")}
    assert paths - paths_of_short == gone
