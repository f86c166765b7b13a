"""The commands on labels and recipes: doubtful labels, pictures to label, cross-validation."""

from pathlib import Path
from shlex import quote
from typing import Annotated

from typer import Argument, Context, Option

from imageproof.base._naming import project_name
from imageproof.cli._answers import OrChampion, check_new, served
from imageproof.cli._lazy import Lazy
from imageproof.cli._results import app

Folds = Annotated[int, Option(min=2, max=100, help="Parts; each training leaves one out.")]

artifacts = Lazy("artifacts")
correcting = Lazy("data.readers.corrections")
crossvalidating = Lazy("crossval._report")
packed = Lazy("data.packed")
pooling = Lazy("labels._pool")
suspecting = Lazy("labels._suspects")
taking = Lazy("labels._taking")


@app.command()
def suspects(
    context: Context,
    model: Annotated[str | None, Option(help="A model of params.yaml, to train.")] = None,
    folds: Folds = 5,
    out: Annotated[Path, Option(help="A new CSV.")] = Path("suspects.csv"),
) -> None:
    """Find labels that are probably wrong: a table to correct, and a page with the pictures."""
    check_new("--out", out, ".csv", ".html", ".json", ".xml")
    project = context.obj.load()
    if not model:
        general = context.obj.general_models
        model = [general[0], *(name for name in general if name in project.models)][-1]
    ask = context.obj.trainer(model)
    summary = suspecting.find_suspects(ask, model, project, folds=folds, out=out)
    print(f"{summary} → {out}, {out.with_suffix('.html')}, {out.with_suffix('.json')}")
    command = f"{project_name()} relabel {quote(str(out))}"
    print(f"write the right classes into its column corrected, then `{command}`")


@app.command()
def crossval(
    context: Context,
    models: Annotated[list[str], Argument(metavar="MODEL", help="Recipes of params.yaml.")],
    folds: Folds = 5,
    curve: Annotated[bool, Option("--curve", help="Train on fewer images, too.")] = False,
) -> None:
    """Say how good recipes are by all images but the hold-out, and whether more would help."""
    project = context.obj.load()
    asks = {model: context.obj.trainer(model) for model in models}
    sample = crossvalidating.read_sample(project.data.classes)
    for model, ask in asks.items():
        crossvalidating.CrossValidation(
            model=model, ask=ask, sample=sample, folds=folds, project=project
        ).run(curve=curve)


@app.command()
def relabel(context: Context, table: Annotated[Path, Argument(metavar="SUSPECTS.csv")]) -> None:
    """Keep the labels that a person corrected beside the data, where `pack` applies them."""
    target = Path("data", correcting.FILE)
    class_names = context.obj.load().class_names
    folder = artifacts.WORKSPACE.pack
    rows = packed.load(folder).rows.assign(hash=packed.load_hashes(folder))
    lines = correcting.read_corrected(table, rows)
    corrected, total = correcting.merge(lines, target, rows, class_names)
    print(f"labels corrected → {target}: {corrected:,}; it has {total:,}")
    _print_next()


@app.command()
def to_label(
    context: Context,
    pool: Annotated[Path, Argument(metavar="POOL", help="Folder of pictures.")],
    images: Annotated[int, Option(min=1, max=100_000, help="How many to choose.")] = 200,
    model: OrChampion = None,
    out: Annotated[Path, Option(help="A new JSON; an XML beside it.")] = Path("tasks.json"),
) -> None:
    """Choose pictures that are worth a person's time: tasks for Label Studio."""
    check_new("--out", out, ".json", ".xml")
    with served(context, model) as (project, version):
        print(*pooling.write_chosen(pool, version, project, count=images, out=out), sep="\n")
    print(f"→ {out}, tasks to import into Label Studio; {out.with_suffix('.xml')}, its interface")
    print(
        f"export them as JSON, then `{project_name()} labels EXPORT.json --pool {quote(str(pool))}`"
    )


@app.command()
def labels(
    context: Context,
    export: Annotated[Path, Argument(metavar="EXPORT.json", help="As Label Studio exports it.")],
    pool: Annotated[Path, Option(help="The folder of the pictures.")] = Path(),
) -> None:
    """Bring labels from Label Studio into data/: new pictures, and corrections."""
    print(*taking.take_labels(export, pool, context.obj.load()), sep="\n")
    _print_next()


def _print_next() -> None:
    print(f"`dvc add data` versions it, and the next `{project_name()} run` uses it")
