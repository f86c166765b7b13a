"""The command `adapt`: print which lines of params.yaml fit the data, and set them if asked."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq

from imageproof.adapt._facts import Facts, read_facts
from imageproof.adapt._rules import Change, Models, find_changes
from imageproof.base._naming import project_name
from imageproof.base.errors import DataError
from imageproof.base.files import replacing
from imageproof.base.text import printable
from imageproof.data.grouping import names_of
from imageproof.data.readers._folders import list_pictures
from imageproof.data.split_params import SplitParams
from imageproof.dvc.params_yaml import PATH, read, set_keys, validated
from imageproof.project import Application

DATA = Path("data")
NULL = "tag:yaml.org,2002:null"


def adapt(application: Application, *, write: bool) -> None:
    """Compare params.yaml with `data/`; set the lines that do not fit if `write` is true.

    A UsageError if params.yaml is wrong in itself. Raises also as `read_facts`.
    """
    params = read()
    facts = read_facts(DATA)
    print(f"{DATA}: {describe(facts)}")
    for line in facts.warnings:
        print(f"warning: {line}")
    try:
        models = Models(application.simple_models, [], {})
        if not facts.is_digit_like:
            models = find_models(params, application.simple_models, application.general_models)
        group = validated(SplitParams, params["split"], "split").group
        params["split"]["group"] = group  # as the columns are spelled
        if "" in facts.columns.get(group or "", ()):  # `split` would stop
            listing = list_pictures(DATA)
            assert listing
            names_of(listing.rows.rename(columns={"file": "name"}), group)
        changes = find_changes(facts, params, models)
    except (AttributeError, KeyError, TypeError):  # a block is missing, or none
        application.load()
        raise
    values = {change.key: change.value for change in changes}
    set_keys(params, values)
    _print_changes(changes)
    if write and changes:
        set_lines(PATH, values)
        application.load()
        print(f"{PATH}: lines set: {len(changes)}; `git diff {PATH}` shows them")
    elif changes:
        print(f"`{project_name()} adapt --write` sets these lines")
    else:
        application.load()
        print(f"{PATH} fits: nothing to change")


def _print_changes(changes: Sequence[Change]) -> None:
    lines = {
        f"{change.key}: {_text(change.today)} → {_text(change.value)}": change.reason
        for change in changes
    }
    width = max(map(len, lines), default=0)
    for line, reason in lines.items():
        print(printable(f"  {line:<{width}}  {reason}"))


def describe(facts: Facts) -> str:
    """The data in one line."""
    (height, width), _ = facts.sizes.most_common(1)[0]
    size = f"{height}×{width}"
    if len(facts.sizes) > 1:
        size = f"{len(facts.sizes):,} sizes, most often {size}"
    counts = facts.counts
    classes = f"{len(counts)} classes with {min(counts):,} or more each"
    colour = "colour" if facts.has_colour else "grey"
    return f"{sum([*counts, *facts.test_counts]):,} images, {classes}, {colour}, {size}"


def find_models(
    params: Mapping[str, Any],
    simple: Sequence[str],
    general: Sequence[str],
) -> Models:
    """The models that can be trained: with a block in params.yaml, and a backbone that is here.

    Prints a warning for a backbone that is not; a DataError if one of `models:` asks it.
    """
    sides: dict[str, int] = {}
    usable = []
    for name in general:
        block = params["train"].get(name)
        if block is None:
            continue
        if "backbone" in block:
            from imageproof.features._backbone import load_backbone  # ONNX takes a second

            try:
                sides[name] = load_backbone(block["backbone"], block["backbone_sha256"]).side
            except DataError as error:
                if name in params["models"]:  # its side is that of the images
                    raise
                print(f"warning: {name}: {error}")
                continue
        usable.append(name)
    return Models(simple, usable, sides)


def set_lines(path: Path, values: Mapping[str, Any]) -> None:
    """Set dotted keys of a YAML file; comments, order and all other lines stay."""
    yaml = YAML()
    yaml.width = 4096
    yaml.preserve_quotes = True
    yaml.representer.add_representer(
        type(None), lambda representer, _: representer.represent_scalar(NULL, "null")
    )
    content: Any = yaml.load(path)
    set_keys(content, {key: _on_one_line(value) for key, value in values.items()})
    with replacing(path) as temporary:
        yaml.dump(content, temporary)


def _on_one_line(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    sequence = CommentedSeq(value)
    sequence.fa.set_flow_style()
    return sequence


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False).replace('"', "")
