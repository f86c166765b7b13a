"""The commands that answer with a registered model."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Context, Option

from imageproof.base.errors import UsageError
from imageproof.base.files import write_text
from imageproof.cli import _console
from imageproof.cli._lazy import Lazy
from imageproof.cli._results import AsJson, app, connected
from imageproof.system._console import show

if TYPE_CHECKING:
    from imageproof.project import Project
    from imageproof.registry._version import Version

IMAGES = "folder of pictures, CSV, npz or Parquet"
SCORED = "predictions.parquet"
OrChampion = Annotated[str | None, Option(help="models:/…; by default the champion.")]
VersionOrChampion = Annotated[
    str | None, Argument(metavar="models:/NAME/VERSION", help="By default the champion.")
]
Port = Annotated[int, Option(min=0, max=65535, help="0 takes any free port.")]

artifacts = Lazy("artifacts")
clusters = Lazy("serve._manifests")
demonstrating = Lazy("answer._demo")
guarding = Lazy("system.guard")
logs = Lazy("answer._logged")
monitoring = Lazy("answer._monitor")
packaging = Lazy("serve._package")
plots = Lazy("report.plots._images")
predicting = Lazy("answer._predict")
protocol = Lazy("serve._protocol")
registered = Lazy("registry._version")
scoring = Lazy("answer._score")
serving = Lazy("answer._serve")
storage = Lazy("system._storage")
theme = Lazy("report.plots._theme")


@app.command()
def predict(
    context: Context,
    files: Annotated[list[Path], Argument(metavar="PICTURE", help="PNG, JPEG, WebP or BMP.")],
    model: OrChampion = None,
    explain: Annotated[Path | None, Option(help="A new PNG that shows why.")] = None,
    as_json: AsJson = False,
) -> None:
    """Classify pictures: one class, or two if the model is not sure, and the probabilities."""
    if explain:
        check_new("--explain", explain, ".png")
    with served(context, model) as (project, version):
        uri = version.origin.uri
        coverage = project.confidence.coverage
        answers, images = predicting.predict_pictures(files, version, coverage)
        names = version.files.class_names
        if explain:
            heat = predicting.explain(answers, images, version)
            theme.save(plots.answers(images, heat, answers, title=uri), explain)
    records = [answer._asdict() for answer in answers]
    record = {"model": uri, "coverage": coverage, "answers": records}
    show(_console.answer_lines(uri, answers, names, coverage), record, as_json=as_json)
    if explain and not as_json:
        print(f"{explain}: what speaks for each answer")


@app.command()
def score(
    context: Context,
    source: Annotated[str, Argument(metavar="INPUT", help=f"{IMAGES}; a path or s3://…")],
    out: Annotated[str, Option(help="FILE.parquet, or FOLDER/ for tables.")] = SCORED,
    model: OrChampion = None,
    missing: Annotated[
        bool, Option("--missing", help="Keep tables that are there, write the others.")
    ] = False,
    overwrite: Annotated[
        bool, Option("--overwrite", help="Replace tables that are there.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Predict images in batches, and write the answers to Parquet."""
    with served(context, model) as (project, version):
        coverage = project.confidence.coverage
        result = scoring.score(
            source, out, version, coverage=coverage, missing=missing, overwrite=overwrite
        )
    show(scoring.lines(result), result, as_json=as_json)


@app.command()
def monitor(
    context: Context,
    source: Annotated[Path, Argument(metavar="INPUT", help=f"Log of a service; {IMAGES}.")],
    labels: Annotated[Path | None, Option(help="A CSV with label, and at, row or file.")] = None,
    days: Annotated[int, Option(min=1, max=36_500, help="Days of a log, up to its last row.")] = 1,
    model: Annotated[
        str | None, Option(help="By default that of the log, or the champion.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say whether a model still sees what it was trained on, and how sure and right it is."""
    page = artifacts.WORKSPACE.monitor
    log = logs.open_log(source, days=days)
    if log and not model:
        model = log.model
    with served(context, model) as (project, version):
        monitored = monitoring.monitor(source, log, labels, version, project=project)
        write_text(page, monitoring.render(monitored))
        monitoring.log_run(monitored.result, page, project)
    result = monitored.result
    verdicts = monitoring.verdicts(result)
    record = {**asdict(result), "verdicts": verdicts}
    show(_console.monitor_lines(result, verdicts, page), record, as_json=as_json)


@app.command()
def demo(
    context: Context,
    port: Port = 7860,
    browser: Annotated[bool, Option("--browser", help="Open it in the browser.")] = False,
) -> None:
    """Serve a page to draw on: champion and challenger say what they see."""
    from webbrowser import open_new_tab

    with connected(context) as project, guarding.listen(port) as listening:
        players = demonstrating.players(project.name, threads=project.threads)
        app = demonstrating.demo_app(players, project.name)
        address = guarding.address(listening)
        print(f"{address}   Ctrl-C ends it", flush=True)
        if browser:
            open_new_tab(address)
        protocol.serve(app, listening)


@app.command()
def serve(
    context: Context,
    model: VersionOrChampion = None,
    port: Port = 5001,
) -> None:
    """Serve a version as `mlflow models serve` does, if its files are those that were logged."""
    with connected(context) as project, guarding.listen(port) as listening:
        uri, app = serving.mlflow_app(_uri(model, project))
        print(f"{uri} at {guarding.address(listening)}/invocations   Ctrl-C ends it", flush=True)
        protocol.serve(app, listening)


@app.command()
def package(
    context: Context,
    model: VersionOrChampion = None,
    out: Annotated[Path, Option(help="A new folder.")] = Path("package"),
    shadow: Annotated[
        str | None, Option(help="models:/… that the package asks, too, and logs.")
    ] = None,
    kubernetes: Annotated[
        bool, Option("--kubernetes", help="Write OUT-kubernetes, for kustomize, too.")
    ] = False,
) -> None:
    """Write a folder that serves a version without this repository, MLflow or TensorFlow."""
    storage.check_out("--out", out)
    folder = out.with_name(f"{out.name}-kubernetes")  # a file in the package would be part of it
    if kubernetes:
        storage.check_out("--kubernetes", folder)
    with (
        served(context, model) as (project, version),
        (
            registered.load_version(shadow, threads=project.threads) if shadow else nullcontext()
        ) as challenger,
    ):
        coverage = project.confidence.coverage
        written = packaging.write_package(version, out, coverage=coverage, challenger=challenger)
    if kubernetes:
        clusters.write_manifests(folder, version.origin.version)
    show(_console.package_lines(written))
    if kubernetes:
        print(f"a cluster runs it by the files in {folder}")


@contextmanager
def served(context: Context, model: str | None) -> Iterator[tuple["Project", "Version"]]:
    """The project, and a version to answer with; by default the champion."""
    with (
        connected(context) as project,
        registered.load_version(_uri(model, project), threads=project.threads) as version,
    ):
        yield project, version


def check_new(option: str, path: Path, *suffixes: str) -> None:
    """Refuse to overwrite, as `--explain a.png b.png` would a picture, or a corrected table."""
    if path.suffix != suffixes[0]:
        raise UsageError(f"{option} {path}: is no {suffixes[0]}; choose another name")
    for suffix in suffixes:
        storage.check_out(option, path.with_suffix(suffix))


def _uri(model: str | None, project: "Project") -> str:
    return f"models:/{project.name}@champion" if model is None else model
