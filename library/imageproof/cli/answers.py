"""The commands that answer with a registered model, and those on labels."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imageproof.base.errors import UsageError
from imageproof.base.naming import project_name
from imageproof.cli.results import AsJson, app, connected

if TYPE_CHECKING:
    from socket import socket

    from imageproof.answer.logged import Log
    from imageproof.project import Project
    from imageproof.registry.served import Served

IMAGES = "folder of pictures, CSV, npz or Parquet"
SCORED = "predictions.parquet"
OrChampion = Annotated[str | None, typer.Option(help="models:/…; by default the champion.")]
VersionOrChampion = Annotated[
    str | None, typer.Argument(metavar="models:/NAME/VERSION", help="By default the champion.")
]
Port = Annotated[int, typer.Option(min=0, max=65535, help="0 is any that is free.")]


@app.command()
def predict(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="PNG, JPEG, WebP or BMP.")],
    model: OrChampion = None,
    explain: Annotated[Path | None, typer.Option(help="A new PNG that shows why.")] = None,
    as_json: AsJson = False,
) -> None:
    """Classify pictures: one class, or two if the model is not sure, and the probabilities."""
    if explain:
        _check_new("--explain", explain, ".png")
    from imageproof.answer.predict import class_names, explained, predict_pictures
    from imageproof.cli.console import print_answers

    with _served(context, model) as (project, loaded):
        coverage = project.confidence.coverage
        answers = predict_pictures(files, loaded, coverage=coverage)
        names = class_names(loaded, project)
        if explain:
            from imageproof.report.plots import images, theme

            seen, uri = explained(answers, loaded), loaded.origin.uri
            theme.save(images.answers(*seen, answers, names=names, title=uri), explain)
    print_answers(loaded.origin.uri, answers, names=names, coverage=coverage, as_json=as_json)
    if explain and not as_json:
        print(f"{explain}: what speaks for each answer")


@app.command()
def score(
    context: typer.Context,
    source: Annotated[str, typer.Argument(metavar="INPUT", help=f"{IMAGES}; a path or s3://…")],
    out: Annotated[str, typer.Option(help="FILE, or FOLDER/ for each table of INPUT.")] = SCORED,
    model: OrChampion = None,
    missing: Annotated[bool, typer.Option("--missing", help="Keep tables that are there.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace such tables.")] = False,
    as_json: AsJson = False,
) -> None:
    """Predict images in batches to Parquet, warn of odd ones, and look for drift."""
    from imageproof.answer import score as scoring
    from imageproof.cli.console import print_scored

    with _served(context, model) as (project, loaded):
        result = scoring.score(
            source, out, loaded, project=project, missing=missing, overwrite=overwrite
        )
    print_scored(result, as_json=as_json)


@app.command()
def monitor(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(help=f"Log of a service; {IMAGES}.")],
    labels: Annotated[Path | None, typer.Option(help="CSV, Parquet: label; at, row, file.")] = None,
    days: Annotated[int, typer.Option(min=1, max=36_500, help="Of a log, up to its last row.")] = 1,
    model: Annotated[str | None, typer.Option(help="Else the log's, or the champion.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say whether a model still sees what it was trained on, and how sure and right it is."""
    from imageproof.answer import monitor as monitoring
    from imageproof.answer.logged import open_log
    from imageproof.artifacts import WORKSPACE
    from imageproof.base.files import write_text
    from imageproof.cli.console import print_monitored

    log = open_log(source, days=days)
    with _served(context, model, log) as (project, loaded):
        monitored = monitoring.monitor(source, log, labels, loaded, project=project)
        write_text(WORKSPACE.monitor, monitoring.render(monitored))
        monitoring.log_run(monitored.result, WORKSPACE.monitor, project)
    print_monitored(monitored.result, WORKSPACE.monitor, as_json=as_json)


@app.command()
def demo(
    context: typer.Context,
    port: Port = 7860,
    browser: Annotated[bool, typer.Option("--browser", help="Open it in the browser.")] = False,
) -> None:
    """A page to draw a digit on, and see what champion and challenger make of it."""
    from webbrowser import open_new_tab

    from imageproof.answer.demo import demo_app, players
    from imageproof.serve import protocol
    from imageproof.system.guard import listen

    with connected(context) as project, listen(port) as listening:
        app = demo_app(players(project.name, threads=project.threads), project)
        print(f"{(address := _address(listening))}   Ctrl-C ends it", flush=True)
        if browser:
            open_new_tab(address)
        protocol.serve(app, listening)


@app.command()
def serve(context: typer.Context, model: VersionOrChampion = None, port: Port = 5001) -> None:
    """Answer as `mlflow models serve` does, with files that are those that were logged."""
    from imageproof.answer.serve import mlflow_app
    from imageproof.serve import protocol
    from imageproof.system.guard import listen

    with connected(context) as project, listen(port) as listening:
        uri, app = mlflow_app(_uri(model, project))
        print(f"{uri} at {_address(listening)}/invocations   Ctrl-C ends it", flush=True)
        protocol.serve(app, listening)


@app.command()
def package(
    context: typer.Context,
    model: VersionOrChampion = None,
    out: Annotated[Path, typer.Option(help="A new folder.")] = Path("package"),
    as_json: AsJson = False,
) -> None:
    """Write a folder that serves a version without this repository, MLflow or TensorFlow."""
    from imageproof.cli.console import print_package
    from imageproof.serve.package import write_package
    from imageproof.system.storage import check_out

    check_out("--out", out)
    with _served(context, model) as (project, loaded):
        written = write_package(loaded, out, project=project)
    print_package(written, as_json=as_json)


@app.command()
def suspects(
    context: typer.Context,
    model: Annotated[str, typer.Option(help="The recipe to train, of params.yaml.")] = "compact",
    folds: Annotated[int, typer.Option(min=2, max=100, help="As many trainings.")] = 5,
    out: Annotated[Path, typer.Option(help="A new CSV.")] = Path("suspects.csv"),
) -> None:
    """Find labels that are probably wrong: a table to correct, and a page with the pictures."""
    _check_new("--out", out, ".csv", ".html")
    from imageproof.report.suspects import find_suspects

    project, ask = context.obj.load(), context.obj.trainer(model)
    said = find_suspects(ask, model, project, folds=folds, out=out)
    print(f"{said} → {out}, {out.with_suffix('.html')}")
    print(
        f"write the right classes into its column corrected, then `{project_name()} relabel {out}`"
    )


@app.command()
def relabel(
    context: typer.Context, table: Annotated[Path, typer.Argument(metavar="SUSPECTS.csv")]
) -> None:
    """Keep the labels that a person corrected beside the data, where `pack` applies them."""
    from imageproof.artifacts import WORKSPACE
    from imageproof.data import packed
    from imageproof.data.readers import corrections

    target = Path("data", corrections.FILE)
    names = context.obj.load().data.class_names
    rows = packed.load(WORKSPACE.pack).rows.assign(hash=packed.load_hashes(WORKSPACE.pack))
    found, kept = corrections.merge(table, target, rows, names)
    print(f"{found:,} labels corrected → {target}, which has {kept:,}")
    print(f"`dvc add data` versions it, and the next `{project_name()} run` uses it")


@contextmanager
def _served(
    context: typer.Context, model: str | None, log: "Log | None" = None
) -> Iterator[tuple["Project", "Served"]]:
    """The project, and a version to answer with; by default the log's, or the champion."""
    from imageproof.registry.served import served

    with connected(context) as project:
        if log and not model:
            model = log.answered_by()
        with served(_uri(model, project), threads=project.threads) as loaded:
            yield project, loaded


def _check_new(option: str, path: Path, suffix: str, *more: str) -> None:
    """Refuse to overwrite, as `--explain a.png b.png` would a picture, or a corrected table."""
    from imageproof.system.storage import check_out

    if path.suffix != suffix:
        raise UsageError(f"{option} {path}: is no {suffix}; choose another name")
    for ending in (suffix, *more):
        check_out(option, path.with_suffix(ending))


def _uri(model: str | None, project: "Project") -> str:
    return f"models:/{project.name}@champion" if model is None else model


def _address(listening: "socket") -> str:
    return f"http://127.0.0.1:{listening.getsockname()[1]}"
