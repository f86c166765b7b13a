"""The program: the commands that make and update a project, and the start of all."""

import sys
from functools import partial
from pathlib import Path
from typing import Annotated, NoReturn

from typer import Argument, Context, Option
from typer.main import get_command

from imageproof.base import files
from imageproof.base.errors import ImageproofError, UsageError
from imageproof.cli import _labelling as _labelling  # its commands, and those of `answers`
from imageproof.cli import _update as updating
from imageproof.cli._lazy import Lazy
from imageproof.cli._results import app
from imageproof.project import Application
from imageproof.system import _process

adapting = Lazy("adapt._command")
converting = Lazy("features._convert")
pages = Lazy("cli._ui")
starting = Lazy("cli._new")


@app.command()
def new(
    folder: Annotated[Path, Argument(metavar="FOLDER", help="New; its name is the project's.")],
) -> None:
    """Make a project of your own from this one: its name everywhere, no data, no results."""
    print(starting.create(folder))


@app.command()
def update(
    source: Annotated[
        Path, Argument(metavar="FOLDER", help="The project that library/ came from.")
    ],
    revision: Annotated[str, Option(help="A tag or commit of that project.")] = "HEAD",
) -> None:
    """Replace library/ by that of the project it came from; your changes to it are kept."""
    result = updating.update(Path.cwd(), source, revision)
    print(*updating.lines(result), sep="\n")
    if result.collided:
        raise ImageproofError(*result.collided)


@app.command()
def adapt(
    context: Context,
    write: Annotated[bool, Option("--write", help="Set these lines; comments stay.")] = False,
) -> None:
    """Say which lines of params.yaml fit the data in data/, and why."""
    adapting.adapt(context.obj, write=write)


@app.command()
def backbone(
    file: Annotated[Path, Argument(metavar="FILE.onnx", help="Of another library.", exists=True)],
    side: Annotated[int, Option(min=1, max=1024, help="Pixels of its images.")],
    mean: Annotated[str, Option(help="Of each channel, 0 to 1: one number or 0.5,0.4,0.4.")],
    std: Annotated[str, Option(help="The same: values are (value - mean) / std.")],
    output: Annotated[str | None, Option(help="The tensor with the features.")] = None,
    pool: Annotated[bool, Option("--pool", help="Average over height and width.")] = False,
) -> None:
    """Write backbones/NAME.onnx, a network that the model `features` can ask."""
    form = converting.Form(
        side=side,
        mean=converting.per_channel("--mean", mean),
        std=converting.per_channel("--std", std),
        output=output,
        pool=pool,
    )
    path = converting.write_backbone(file, form)
    print(f"{path}: written; `dvc add {path}` records it; in params.yaml set in train.features:")
    print(f"  backbone: {path.stem}\n  backbone_sha256: {files.sha256(path)}")


@app.command(hidden=True)
def ui(context: Context, port: Annotated[int, Argument(min=0, max=65535)]) -> None:
    """Print where a server of the tracking store on this port shows the runs: for `make ui`."""
    print(pages.address(context.obj.load(), port))


def cli(application: Application) -> NoReturn:
    """Run the project's command with the arguments of this process, and exit."""
    _process.run_program(partial(_run, application))


def _run(application: Application) -> None:
    path, *arguments = sys.argv
    name = Path(path).name
    for function in application.commands:
        app.command()(function)
    commands = get_command(app)
    _process.run_command(commands, arguments or ["--help"], prog_name=name, obj=application)
    if not arguments:
        raise UsageError(f"{name}: a command is needed, one of those above")
