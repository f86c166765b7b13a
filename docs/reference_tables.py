"""The tables of the reference, made from the code when the site is built."""

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from digits.models import available, model_file
from digits.params import Params
from digits.training.recipe import Recipe
from imageproof.base.errors import ImageproofError
from imageproof.dvc import params_yaml

PARAMS = Path(__file__).parents[1] / params_yaml.PATH
TYPES = {
    "boolean": "true or false",
    "integer": "whole number",
    "null": "null",
    "number": "number",
    "string": "text",
}
BOUNDS = {
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "exclusiveMaximum": "< {}",
    "minLength": "characters ≥ {}",
    "maxLength": "characters ≤ {}",
    "pattern": "as `{}`",
}
RECIPE = """
## train.MODEL

How a model is trained. Every model's block may hold these keys, and `build`, whose keys are the
model's own.
"""

Schema = Mapping[str, Any]


def write(folder: Path) -> None:
    """Write each table as a Markdown file into the folder; files that hold just that stay."""
    folder.mkdir(exist_ok=True)
    for make in (params_tables, commands, exit_codes):
        path, text = folder / f"{make.__name__}.md", make()
        if not path.is_file() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")


def params_tables() -> str:
    """Every key of params.yaml by block: what is allowed, its value there, its comment there."""
    values, comments = params_yaml.read(PARAMS), _comments(PARAMS)
    schema, recipe = Params.model_json_schema(), Recipe.model_json_schema()
    blocks = {key: _followed(entry, schema) for key, entry in schema["properties"].items()}
    files = {name: model_file(name) for name in values["train"] if name in available()}
    models = [name for name, file in files.items() if not hasattr(file, "Recipe")]

    def table(leaves: Mapping[str, Schema]) -> str:
        rows = [
            [
                f"`{key}`",
                _allowed(entry),
                _code(_value(values, key)),
                comments.get(key) or entry.get("description", ""),
            ]
            for key, entry in leaves.items()
        ]
        return _table(["key", "allowed", "value", "meaning"], rows)

    text = ["## At the top\n", table({k: b for k, b in blocks.items() if "properties" not in b})]
    for key, block in blocks.items():
        if "properties" in block:
            leaves = _leaves(block, schema, key)
            text += [f"## {key}\n", block.get("description", ""), "", table(leaves)]

    common = {k: leaf for k, leaf in _leaves(recipe, recipe, "").items() if k != "build"}
    text += [RECIPE, _recipe_table(common, models, comments)]
    text += ["### The values of each model\n", _values_table(common, models, values)]
    for name in models:
        build = files[name].BuildParams.model_json_schema()
        text += [f"### train.{name}.build\n", table(_leaves(build, build, f"train.{name}.build"))]
    for name in files.keys() - {*models}:  # of another framework than Keras
        own = files[name].Recipe.model_json_schema()
        text += [f"## train.{name}\n", table(_leaves(own, own, f"train.{name}"))]
    return "\n".join(text)


def commands() -> str:
    """What `digits COMMAND --help` says, as Typer writes it in Markdown."""
    program = "-m typer imageproof.cli.program utils docs --name digits"
    command = [sys.executable, *program.split()]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    text = text[text.index("\n## ") :].replace("* `--help`: Show this message and exit.\n", "")
    return text.replace("**Options**:\n\n\n", "").replace("**Usage**:\n\n", "")


def exit_codes() -> str:
    """The exit code of each kind of error, and what it means."""
    kinds = sorted(ImageproofError.__subclasses__(), key=lambda kind: kind.exit_code)
    own = [[str(kind.exit_code), _first_line(kind)] for kind in kinds]
    return _table(
        ["code", "meaning"],
        [
            ["0", "Everything that was asked for is done."],
            ["1", "An error of ours; `DIGITS_DEBUG=1` or `digits --debug` shows where."],
            *own,
            ["130", "Interrupted (Ctrl-C); the MLflow run ends as KILLED."],
            ["143", "Terminated; the MLflow run ends as KILLED."],
        ],
    )


def _recipe_table(
    leaves: Mapping[str, Schema], models: list[str], comments: Mapping[str, str]
) -> str:
    """Allowed values and defaults of what every model's block may hold."""
    rows = []
    for key, entry in leaves.items():
        texts = (comments[k] for k in (f"train.{m}.{key}" for m in models) if k in comments)
        default = _code(entry["default"]) if "default" in entry else "must be given"
        meaning = next(texts, entry.get("description", ""))
        rows.append([f"`{key}`", _allowed(entry), default, meaning])
    return _table(["key", "allowed", "if left out", "meaning"], rows)


def _values_table(keys: Iterable[str], models: list[str], values: Any) -> str:
    """The value of each key in each model's block; empty where the block leaves it out."""
    of_keys = {k: [_code(_value(values, f"train.{m}.{k}")) for m in models] for k in keys}
    rows = [[f"`{key}`", *cells] for key, cells in of_keys.items() if any(cells)]
    return _table(["key", *models], rows)


def _leaves(schema: Schema, whole: Schema, prefix: str) -> dict[str, Schema]:
    """The values in a block and in the blocks within it, by dotted key."""
    leaves: dict[str, Schema] = {}
    for key, entry in _followed(schema, whole)["properties"].items():
        inner, path = _followed(entry, whole), f"{prefix}.{key}".lstrip(".")
        leaves |= _leaves(inner, whole, path) if "properties" in inner else {path: entry}
    return leaves


def _followed(schema: Schema, whole: Schema) -> Schema:
    """What a `$ref` of the schema refers to, also one beside null; or the schema itself."""
    schema = next((option for option in schema.get("anyOf", ()) if "$ref" in option), schema)
    target: Schema = whole["$defs"][schema["$ref"].split("/")[-1]] if "$ref" in schema else schema
    return target


def _allowed(entry: Schema) -> str:
    """Type and range of a value in words."""
    if "anyOf" in entry:
        return " or ".join(map(_allowed, entry["anyOf"]))
    if choices := entry.get("enum", [entry["const"]] if "const" in entry else []):
        return ", ".join(f"`{value}`" for value in choices)
    if entry.get("type") == "array":
        counts = {entry.get("minItems"), entry.get("maxItems")}
        number = f" of {counts.pop()}" if len(counts) == 1 and None not in counts else ""
        return f"list{number}: {_allowed(entry['items'])}"
    bounds = [words.format(entry[key]) for key, words in BOUNDS.items() if key in entry]
    return ", ".join([TYPES.get(entry.get("type", ""), "any"), *bounds])


def _comments(path: Path) -> dict[str, str]:
    """The comment behind each key of a YAML file, by dotted key."""
    lines = path.read_text("utf-8").splitlines()

    def find(block: Any, prefix: str) -> Iterator[tuple[str, str]]:
        for key, value in block.items():
            if comment := re.search(r"\s#\s+(.+)$", lines[block.lc.key(key)[0]]):
                yield f"{prefix}{key}", comment[1]
            if isinstance(value, dict):
                yield from find(value, f"{prefix}{key}.")

    return dict(find(YAML().load("\n".join(lines)), ""))


def _value(values: Any, key: str) -> Any:
    """The value of a dotted key, `…` if it is not there."""
    for name in key.split("."):
        values = values.get(name, ...) if isinstance(values, dict) else ...
    return values


def _code(value: Any) -> str:
    return "" if value is ... else f"`{json.dumps(value, ensure_ascii=False)}`"


def _first_line(kind: type) -> str:
    return (kind.__doc__ or "").splitlines()[0]


def _table(head: list[str], rows: Iterable[list[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    cells = ([cell.replace("|", "\\|") for cell in line] for line in lines)
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)
