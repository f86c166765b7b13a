"""The commands of `digits`: each reads its options, calls a room, and prints the result."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from digits.core import process
from digits.core.errors import DataError, GateRefusedError, UsageError, printable

if TYPE_CHECKING:
    from digits.params import Params

app = typer.Typer(
    help="Versioned data, tracked training and honest comparison of image classifiers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Reason = Annotated[str, typer.Option(help="Why; kept in the history.")]
ModelUri = Annotated[str, typer.Argument(metavar="models:/NAME/VERSION", show_default=False)]
OrChampion = Annotated[str | None, typer.Option(help="models:/…; by default the champion.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="0 is any that is free.")]

# Each command imports heavy modules itself, so that `digits --help` is quick.


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    if debug:
        os.environ["DIGITS_DEBUG"] = "1"  # read by child processes, too


@app.command()
def run() -> None:
    """Run with DVC what changed, showing how far it is; then print the table of results."""
    from digits import params
    from digits.reporting.console import print_results
    from digits.running.run import run_pipeline

    loaded = params.load()
    ran = run_pipeline(Path.cwd(), loaded)
    if not ran.issuperset(f"evaluate@{model}" for model in loaded.models):
        restore()
    print_results()


@app.command()
def results() -> None:
    """Print the table of results of the last `dvc repro`."""
    from digits.reporting.console import print_results

    print_results()


@app.command()
def restore() -> None:
    """Log every recorded training that the tracking store does not know, from DVC's outputs."""
    from digits.tracking.restore import restore_all

    restore_all()


@app.command()
def stats(
    matrix: Annotated[Path, typer.Argument(metavar="MATRIX.csv")], as_json: AsJson = False
) -> None:
    """Print caret's statistics of a confusion matrix: rows prediction, columns reference."""
    from digits.evaluation.caret import statistics
    from digits.evaluation.confusion_csv import read_matrix
    from digits.reporting.console import print_statistics

    counts, classes = read_matrix(matrix)
    print_statistics(statistics(counts, classes=classes), as_json=as_json)


@app.command()
def summary(
    as_json: AsJson = False,
    picture: Annotated[Path, typer.Option(help="Where to draw the error bars.")] = Path(
        "artifacts/summary.png"
    ),
    last: Annotated[int, typer.Option(min=1, max=10_000, help="How many runs to look at.")] = 100,
) -> None:
    """Mean, spread and 95 % interval of the newest runs that differ in nothing but the seed."""
    from digits.evaluation.seeds import groups
    from digits.reporting.console import print_summary
    from digits.reporting.plots.comparison import error_bars
    from digits.reporting.plots.theme import save
    from digits.tracking.runs import evaluated_runs

    runs = evaluated_runs(last)
    seed_groups = groups(runs)
    if not seed_groups:
        raise DataError(
            "MLflow: no finished run with an evaluation yet (restored ones do not count);"
            " `dvc repro` makes them"
        )
    save(error_bars(seed_groups, title="Over seeds: mean and 95 % interval"), picture)
    print_summary(seed_groups, as_json=as_json)
    if not as_json:
        print(f"picture: {printable(str(picture))}")
        if len(runs) == last:
            print(f"of the last {last} runs; --last looks further back")


@app.command()
def diff(
    old: Annotated[str, typer.Argument(metavar="REV", help="Commit, branch, tag, experiment.")],
    new: Annotated[
        str | None, typer.Argument(metavar="REV2", help="By default the workspace.")
    ] = None,
    as_json: AsJson = False,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Print Markdown for a pull request.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for diff.md and the pictures it shows.")
    ] = None,
) -> None:
    """Say of each model whether its results are better than at another git revision."""
    if as_json and as_markdown:
        raise UsageError("digits diff: give either --json or --markdown")
    from digits.reporting.diff.collect import collect_diff
    from digits.reporting.diff.render import print_diff, write_page

    collected = collect_diff(old, new, out)
    if out:
        write_page(collected, out)
    print_diff(collected, as_json=as_json, as_markdown=as_markdown)


@app.command()
def promote(
    model: Annotated[str | None, typer.Argument(help="The model that was trained last.")] = None,
    run: Annotated[str | None, typer.Option(help="The MLflow run, in place of MODEL.")] = None,
    exp: Annotated[
        str | None,
        typer.Option(help="The DVC experiment; MODEL says which training, if it has several."),
    ] = None,
    reason: Reason = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Judge only; write nothing.")] = False,
    approved_by: Annotated[str, typer.Option(help="Who approved; one more check.")] = "",
    rejected_by: Annotated[str, typer.Option(help="Who rejected; one more check.")] = "",
    as_json: AsJson = False,
) -> None:
    """Register a model as challenger, and make it champion if it passes the gate (else exit 5)."""
    if bool(model or exp) == bool(run):
        raise UsageError("digits promote: give MODEL, --exp NAME [MODEL], or --run ID")
    if approved_by and rejected_by:
        raise UsageError("digits promote: give either --approved-by or --rejected-by")
    from digits.evaluation.gate import approval
    from digits.registry.promotion import promote_training
    from digits.reporting.decisions import print_outcome

    with _connected(patient=True) as params:
        outcome = promote_training(
            model,
            run,
            exp,
            params=params,
            reason=reason,
            dry_run=dry_run,
            approval=approval(approved_by, rejected_by),
        )
    print_outcome(outcome, as_json=as_json)
    if outcome.decision and not outcome.decision.accepted:
        failed = ", ".join(outcome.decision.failed)
        raise GateRefusedError(f"{outcome.decision.challenger}: refused by {failed}; nothing moved")


@app.command()
def rollback(
    to: Annotated[int | None, typer.Option(help="Version; by default the last champion.")] = None,
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Make the previous champion, or another version, champion again."""
    from digits.registry import promotion
    from digits.reporting.decisions import print_moves

    with _connected(patient=True) as params:
        version = None if to is None else str(to)
        move = promotion.rollback(params.project.name, to=version, reason=reason)
    print_moves([move], as_json=as_json)


@app.command()
def history(as_json: AsJson = False) -> None:
    """Who replaced whom as champion: when, why, and on what figures."""
    from digits.registry.versions import Registry
    from digits.reporting.decisions import print_moves

    with _connected() as params:
        moves = Registry(params.project.name).moves()
    print_moves(moves, as_json=as_json)


@app.command()
def trace(uri: ModelUri, as_json: AsJson = False) -> None:
    """The code, data, params, run and environment that a version was made from.

    Ends with 7 if its files are not those that were logged.
    """
    from digits.registry.trace import check_unchanged, find_origin
    from digits.reporting.decisions import print_origin

    with _connected():
        origin = find_origin(uri)
        print_origin(origin, as_json=as_json)
        check_unchanged(origin)  # last: if it fails, the origin is what one wants to see


@app.command()
def reproduce(
    uri: ModelUri,
    tolerance: Annotated[
        float, typer.Option(min=0, help="Largest difference of a probability that passes.")
    ] = 0.0,
) -> None:
    """Train a version again from its commit, data and params; exit 0 only if it answers alike."""
    from digits.registry.reproduce import reproduce_version

    with _connected() as params:
        print(reproduce_version(uri, threads=params.train.threads, tolerance=tolerance))


@app.command()
def predict(
    files: Annotated[list[Path], typer.Argument(help="PNG or JPEG.")],
    model: OrChampion = None,
    as_json: AsJson = False,
) -> None:
    """Name each picture's class, or two that it may be, with the probability of every class."""
    from digits.scoring.pictures import check_pictures

    check_pictures(files)  # before the imports, which take seconds
    from digits.registry.served import served
    from digits.reporting.console import print_answers
    from digits.scoring.predict import predict_pictures

    with (
        _connected() as params,
        served(_uri(model, params), threads=params.train.threads) as loaded,
    ):
        coverage = params.confidence.coverage
        answers = predict_pictures(files, loaded, coverage=coverage)
    print_answers(loaded.origin.uri, answers, coverage=coverage, as_json=as_json)


@app.command()
def score(
    source: Annotated[
        str,
        typer.Argument(
            metavar="INPUT", help="Folder of pictures, CSV, npz or Parquet; a path or s3://…"
        ),
    ],
    out: Annotated[
        str,
        typer.Option(help="FILE, or FOLDER/ to score all tables of INPUT in parts."),
    ] = "predictions.parquet",
    model: OrChampion = None,
    scheduler: Annotated[
        str, typer.Option(help="tcp://…, the Dask scheduler on whose workers parts are scored.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Predict images in batches to Parquet, warn of odd ones, and look for drift."""
    from digits.scoring.storage import is_folder

    in_parts = is_folder(out)
    if scheduler and not in_parts:
        raise UsageError("digits score: --scheduler needs --out FOLDER/, for the parts")
    from digits.registry.served import served
    from digits.reporting.console import print_scored
    from digits.scoring.score import score_file
    from digits.scoring.whole import score_parts

    with (
        _connected() as params,
        served(_uri(model, params), threads=params.train.threads) as loaded,
    ):
        if in_parts:
            result = score_parts(source, out, loaded, params=params, scheduler=scheduler)
        else:
            result = score_file(source, out, loaded, params=params)
    print_scored(result, as_json=as_json)


@app.command()
def monitor(
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="Log of a service; folder, CSV or npz.")
    ],
    labels: Annotated[
        Path | None,
        typer.Option(help="CSV or Parquet: label, and at (of a log), row, or file."),
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=36_500, help="Of a log, up to its last row.")] = 1,
    model: Annotated[
        str | None,
        typer.Option(help="models:/…; by default who answered the log last, else the champion."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say whether a model still sees what it was trained on, and how sure and right it is."""
    from digits.core.artifacts import MONITOR
    from digits.core.files import write_text
    from digits.registry.served import served
    from digits.reporting.console import print_monitored
    from digits.reporting.page.monitor import render_monitor
    from digits.scoring import monitor as monitoring
    from digits.scoring.logged import is_log, open_log

    log = open_log(source, days=days) if is_log(source) else None
    with (
        _connected() as params,
        served(
            model or (log.model if log else _uri(None, params)), threads=params.train.threads
        ) as loaded,
    ):
        monitored = monitoring.monitor(source, log, labels, loaded, params=params)
        write_text(MONITOR, render_monitor(monitored, names=params.data.names))
        monitoring.log_run(monitored.result, MONITOR, params.project)
    print_monitored(monitored.result, MONITOR, as_json=as_json)


@app.command()
def demo(
    port: Port = 7860,
    browser: Annotated[bool, typer.Option("--browser", help="Open it in the browser.")] = False,
) -> None:
    """A page to draw a digit on, and see what champion and challenger make of it."""
    from webbrowser import open_new_tab

    from digits.core.guard import listen
    from digits.scoring.demo import demo_app, players, serve_app

    with _connected() as params, listen(port) as listening:
        app = demo_app(players(params.project.name, threads=params.train.threads))
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        print(f"{address}   Ctrl-C ends it", flush=True)
        if browser:
            open_new_tab(address)
        serve_app(app, listening)


@app.command()
def serve(
    model: Annotated[
        str | None, typer.Argument(metavar="models:/NAME/VERSION", help="By default the champion.")
    ] = None,
    port: Port = 5001,
) -> None:
    """Answer as `mlflow models serve` does, with files that are those that were logged."""
    from digits.core.guard import listen
    from digits.scoring.demo import mlflow_app, serve_app

    with _connected() as params, listen(port) as listening:
        uri, app = mlflow_app(_uri(model, params), threads=params.train.threads)
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/invocations"
        print(f"{uri} at {address}   Ctrl-C ends it", flush=True)
        serve_app(app, listening)


@app.command()
def package(
    model: Annotated[
        str | None, typer.Argument(metavar="models:/NAME/VERSION", help="By default the champion.")
    ] = None,
    out: Annotated[Path, typer.Option(help="New or empty folder, or one with a package.")] = Path(
        "package"
    ),
    as_json: AsJson = False,
) -> None:
    """Write a folder that serves a version without this repository, MLflow or TensorFlow."""
    from digits.registry.served import served
    from digits.reporting.console import print_package
    from digits.serving.package import write_package

    with (
        _connected() as params,
        served(_uri(model, params), threads=params.train.threads) as loaded,
    ):
        written = write_package(loaded, out, params=params)
    print_package(written, as_json=as_json)


def main() -> None:
    """Entry point of the `digits` command."""
    process.run_program(app)


@contextmanager
def _connected(*, patient: bool = False) -> Iterator["Params"]:
    """The params; within the block MLflow uses the tracking store, and its errors are one line.

    If it is `patient`, it waits for a store that is away.
    """
    from digits import params
    from digits.tracking import spool, store

    loaded = params.load()
    store.patiently(store.connect, wait_s=None if patient else 0.0)
    spool.send_left()
    with store.service_errors():
        yield loaded


def _uri(model: str | None, params: "Params") -> str:
    return model or f"models:/{params.project.name}@champion"
