"""The commands on results and on the registry; each imports what only it needs."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, BadParameter, Context, Exit, Option, Typer

from imageproof.base._naming import project_name, variable
from imageproof.base.errors import DataError, GateRefusedError, UsageError
from imageproof.cli import _console
from imageproof.cli._lazy import Lazy
from imageproof.system._console import show

if TYPE_CHECKING:
    from imageproof.project import Project


def _is_no_option(value: str) -> str:
    """Refuse an option as the text of another: `--reason --dry-run` would promote."""
    if value.startswith("--"):
        raise BadParameter("is missing, or begins with --")
    return value


AsJson = Annotated[bool, Option("--json", help="Print JSON instead of a table.")]
Reason = Annotated[str, Option(callback=_is_no_option, help="Why; kept in the history.")]
Person = Annotated[str, Option(callback=_is_no_option, help="Who decides; one more check.")]
ModelUri = Annotated[str, Argument(metavar="models:/NAME/VERSION", show_default=False)]

artifacts = Lazy("artifacts")
caret = Lazy("judge._caret")
collecting = Lazy("diff._collect")
gate = Lazy("judge.gate")
matrices = Lazy("judge._confusion")
params_yaml = Lazy("dvc.params_yaml")
pipeline = Lazy("dvc._run")
promotion = Lazy("registry._promotion")
registered = Lazy("registry._version")
registry = Lazy("registry._versions")
rendering = Lazy("diff._render")
reproducing = Lazy("registry._reproduce")
restoring = Lazy("mlflow.restore")
runs = Lazy("mlflow._runs")
seeds = Lazy("judge._seeds")
store = Lazy("mlflow._store")

app = Typer(
    help="Versioned data, tracked training and honest comparison of image classifiers.",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(is_given: bool) -> None:
    if is_given:
        from importlib.metadata import version  # takes a tenth of the help's time

        print(version(Path(sys.argv[0]).name))
        raise Exit


@app.callback()
def _options(
    debug: Annotated[bool, Option("--debug", help="Show tracebacks.")] = False,
    project: Annotated[Path | None, Option(help="Another project's folder.")] = None,
    _: Annotated[bool, Option("--version", callback=_print_version, is_eager=True)] = False,
) -> None:
    if project:
        os.chdir(project)
    if debug:
        os.environ[variable("DEBUG")] = "1"  # read by child processes, too


@app.command()
def run(
    context: Context,
    names: Annotated[
        list[str] | None, Argument(metavar="MODEL|STAGE", help="By default the pipeline.")
    ] = None,
) -> None:
    """Run with DVC what changed, showing how far it is; then print the results."""
    project = context.obj.load()
    names = names or []
    models = [model for model in project.models if not names or model in names]
    stages = pipeline.run_pipeline(Path.cwd(), names, threads=project.threads)
    if not stages.issuperset(f"evaluate@{model}" for model in models):
        restoring.restore_all(project)
    if not names:
        show(_console.result_lines())
        return
    for model in models:
        accuracy = artifacts.WORKSPACE.evaluated(model).read_metrics()["test"]["accuracy"]
        hint = f"`{project_name()} run` compares it with the others"
        print(f"{model}: test accuracy {accuracy:.4f}; {hint}")


@app.command()
def results() -> None:
    """Print the table of results of the last `dvc repro`."""
    params_yaml.read()  # to fail first if there is no project
    show(_console.result_lines())


@app.command()
def restore(context: Context) -> None:
    """Log every recorded training that the tracking store does not know, from DVC's outputs."""
    restoring.restore_all(context.obj.load())


@app.command()
def stats(matrix: Annotated[Path, Argument(metavar="MATRIX.csv")], as_json: AsJson = False) -> None:
    """Print caret's statistics of a confusion matrix: rows prediction, columns reference."""
    counts, classes = matrices.read_matrix(matrix)
    statistics = caret.statistics(counts, classes=classes)
    show(_console.statistics_lines(statistics), statistics._asdict(), as_json=as_json)


@app.command()
def summary(
    context: Context,
    as_json: AsJson = False,
    last: Annotated[int, Option(min=1, max=10_000, help="How many runs to look at.")] = 100,
) -> None:
    """Print mean, spread and 95 % interval of runs that differ in nothing but the seed."""
    groups = seeds.groups(runs.evaluated_runs(context.obj.load().name, last))
    if not groups:
        hint = f"`dvc repro` makes them, `{project_name()} restore` logs those of DVC"
        raise DataError(f"MLflow: no finished run with an evaluation yet; {hint}")
    show(_console.summary_lines(groups), [group.as_dict() for group in groups], as_json=as_json)


@app.command()
def diff(
    old: Annotated[str, Argument(metavar="REV", help="Commit, branch, tag, experiment.")],
    new: Annotated[str | None, Argument(metavar="REV2", help="By default the workspace.")] = None,
    as_json: AsJson = False,
    as_markdown: Annotated[bool, Option("--markdown", help="For a pull request.")] = False,
) -> None:
    """Say of each model whether its results are better than at another git revision."""
    params_yaml.read()  # to fail first if there is no project
    difference = collecting.collect_diff(old, new)
    rendering.print_diff(difference, as_json=as_json, as_markdown=as_markdown)


@contextmanager
def connected(context: Context, *, patient: bool = False) -> Iterator["Project"]:
    """The project. In the block MLflow uses the tracking store; `patient` waits for a server."""
    project = context.obj.load()
    with store.with_retries() if patient else nullcontext(), store.service_errors():
        store.connect(project.name)
        yield project


@app.command()
def promote(
    context: Context,
    model: Annotated[str | None, Argument(metavar="MODEL", help="Its last training.")] = None,
    run: Annotated[str | None, Option(help="The MLflow run, in place of MODEL.")] = None,
    exp: Annotated[str | None, Option(help="The DVC experiment that trained MODEL.")] = None,
    reason: Reason = "",
    dry_run: Annotated[bool, Option("--dry-run", help="Judge only; write nothing.")] = False,
    approved_by: Person = "",
    rejected_by: Person = "",
    as_json: AsJson = False,
) -> None:
    """Register a model as challenger, and make it champion if it passes the gate (else exit 5)."""
    if bool(model) == bool(run) or (exp and run) or "" in (model, exp, run):
        raise UsageError(f"{project_name()} promote: give MODEL, --exp NAME MODEL, or --run ID")
    approval = gate.approval(approved_by, rejected_by)
    with connected(context, patient=True) as project:
        candidate = promotion.Candidate(model or "", exp or "", run or "")
        outcome = promotion.promote_training(
            candidate, project=project, reason=reason, dry_run=dry_run, approval=approval
        )
    show(_console.outcome_lines(outcome), outcome.as_dict(), as_json=as_json)
    decision = outcome.decision
    if not decision or decision.accepted:
        return
    name = decision.challenger
    failed = ", ".join(decision.failed)
    if decision.undecided:
        raise GateRefusedError(f"{name}: undecided by {failed}; {decision.note}; nothing moved")
    raise GateRefusedError(f"{name}: refused by {failed}; nothing moved")


@app.command()
def rollback(
    context: Context,
    to: Annotated[
        int | None, Option(min=1, max=10**9, help="Version; by default the previous champion.")
    ] = None,
    reason: Reason = "",
    force: Annotated[bool, Option("--force", help="Even if the gate refused it.")] = False,
) -> None:
    """Make the former champion, or another version, champion (exit 5 if the gate refused it)."""
    version = str(to) if to else None
    with connected(context, patient=True) as project:
        move = promotion.rollback(project.name, to=version, reason=reason, force=force)
    show(_console.move_lines([move]))


@app.command()
def history(context: Context, as_json: AsJson = False) -> None:
    """Print who replaced whom as champion: when, why, and on what figures."""
    with connected(context) as project:
        moves = registry.Registry(project.name).moves()
    show(_console.move_lines(moves), moves, as_json=as_json)


@app.command()
def trace(context: Context, uri: ModelUri, as_json: AsJson = False) -> None:
    """Print what a version was made from; exit 7 if its files are not those that were logged."""
    with connected(context):
        origin = registered.find_origin(uri)
        show(_console.origin_lines(origin), origin, as_json=as_json)
        origin.check_unchanged()  # last: if it fails, one wants to see the origin


@app.command()
def reproduce(
    context: Context,
    uri: ModelUri,
    tolerance: Annotated[float, Option(min=0, help="Largest difference of a probability.")] = 0.0,
) -> None:
    """Train a version again from its commit, data and params; exit 0 only if it answers alike."""
    with connected(context):
        print(reproducing.reproduce_version(uri, tolerance=tolerance))
