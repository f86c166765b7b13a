"""Checks of the raw data by Great Expectations: the suites of gx/expectations/, on data frames."""

from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

import great_expectations as gx
import pandas as pd
from great_expectations.core import expectationSuiteSchema
from great_expectations.execution_engine import pandas_execution_engine

from imageproof.base.errors import DataError
from imageproof.base.files import parsing
from imageproof.base.text import one_line
from imageproof.data.packed import Packed
from imageproof.data.validation._frames import class_frame, image_frame
from imageproof.data.validation.validate import ValidateParams

# It hashes each smaller frame for a fingerprint that we do not read: 120 MB of 600,000 rows.
pandas_execution_engine.HASH_THRESHOLD = 0
SUITES = Path("gx/expectations")  # where Great Expectations keeps those of a project
# Their icons and styles come from the internet; without it they would not show what failed.
STYLE = """<style>
.fa-check-circle::before { content: "✓"; color: green }
.fa-times::before { content: "✗"; color: #c00 }
.fa-exclamation-triangle::before { content: "!"; color: #c60 }
td, th { padding: 0.2em 1em; text-align: left }
footer { position: static !important }
</style>"""
Values = dict[str, Any]
SHOWN_ROWS = 5


class Message(NamedTuple):
    """What a finding says: what is wrong, how to mend it, how a failing value is shown."""

    what: str
    hint: str
    value: str = ""


def validate(
    packed: Packed,
    *,
    params: ValidateParams,
    names: Sequence[str],
    docs: str = "",
) -> Values:
    """Check the training part and, if there is one, the official test part.

    Both by the suites `images` and `classes`, each by the suite of its name. Critical findings
    refuse the data; each has a `message` that names the first failing rows or classes.
    `names` are those of the classes.
    """
    images = image_frame(packed, names)
    mode = images["mode"].mode()[0]
    parameters = params.model_dump() | {
        "labels": [*range(len(names))],
        "last_label": len(names) - 1,
        "modes": [mode],
        "mode": mode,
    }
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    checks: list[Values] = []
    end = int((images["part"] == "train").sum())
    for rows in (images[:end], images[end:]):  # views, no copies
        if rows.empty:
            continue
        part = rows["part"].iloc[0]
        suites = {"images": rows, part: rows, "classes": class_frame(rows, names)}
        for suite, frame in suites.items():
            checks += _check(context, suite, frame, parameters)
    if docs:
        _write_docs(context, Path(docs))

    failed = [check for check in checks if not check["success"]]
    critical = sum(check["severity"] == "critical" for check in failed)
    return {
        "success": not critical,
        "critical": critical,
        "warnings": len(failed) - critical,
        "findings": failed,
        "expectations": checks,
    }


def _check(
    context: Any,
    name: str,
    frame: pd.DataFrame,
    parameters: Values,
) -> list[Values]:
    """Check a frame by a suite with the values of its parameters."""
    part = frame["part"].iloc[0]
    path = SUITES / f"{name}.json"
    units = ("class", "classes") if name == "classes" else ("row", "rows")
    source = context.data_sources.add_or_update_pandas("data")
    data = source.add_dataframe_asset(f"{part}-{name}").add_batch_definition_whole_dataframe(part)
    with parsing("an expectation suite", path):
        expectations = expectationSuiteSchema.loads(path.read_text("utf-8"))["expectations"]
        for expectation in expectations:
            expectation.id = None  # else a suite takes no expectation
        rules = [expectation.to_domain_obj() for expectation in expectations]
        suite = context.suites.add_or_update(gx.ExpectationSuite(name, rules))
        # Great Expectations copies the frame: it gets the columns that the suite names
        kwargs = [expectation.configuration.kwargs for expectation in suite.expectations]
        texts = str(["name", *kwargs])
        definition = gx.ValidationDefinition(name=f"{part}-{name}", data=data, suite=suite)
        results = context.validation_definitions.add(definition).run(
            batch_parameters={"dataframe": frame[[c for c in map(str, frame) if c in texts]]},
            expectation_parameters=parameters,
            result_format={
                "result_format": "SUMMARY",
                "unexpected_index_column_names": ["name"],
                "partial_unexpected_count": SHOWN_ROWS,
            },
        )
    results = results.to_json_dict()["results"]
    return [_as_check(part, units, path, parameters, result) for result in results]


def _as_check(
    part: str,
    units: tuple[str, str],
    path: Path,
    parameters: Values,
    result: Values,
) -> Values:
    config = result["expectation_config"]
    details = result["result"]
    column = config["kwargs"].get("column")
    faults = result["exception_info"]  # one, or one for each metric of the expectation
    for fault in (faults, *faults.values()):
        reason = isinstance(fault, dict) and fault.get("exception_message")
        if reason:
            raise DataError(f"{path}: {config['type']} of {column}: {one_line(reason, width=200)}")

    message = _message(config, path, parameters)
    text = None
    if not result["success"] and details.get("unexpected_count"):
        text = f"{part}: {_finding(units, message, column, details)}; {message.hint}"
    elif not result["success"]:
        observed = one_line(details.get("observed_value", ""))
        value = f": {observed} found" if observed else ""
        text = f"{part}: {message.what}{value}; {message.hint}"
    return {
        "part": part,
        "severity": config["severity"],
        "expectation": config["type"],
        "column": column,
        "success": result["success"],
        "message": text,
    }


def _finding(
    units: tuple[str, str],
    message: Message,
    column: str,
    details: Values,
) -> str:
    """`label outside 0…9 in 2 rows: row 4 (label 10), row 9 (label 12)`: the first that fail."""
    count = details["unexpected_count"]
    entries = details.get("partial_unexpected_index_list") or []
    names = []
    for entry in entries:
        text = message.value.replace("{}", str(entry.get(column, "?")))
        names.append(f"{entry['name']} ({text})" if text else entry["name"])
    if count > len(entries):
        names.append("…")
    return f"{message.what} in {count} {units[count > 1]}: {', '.join(names)}"


def _message(config: Values, path: Path, parameters: Values) -> Message:
    """Of an expectation's `meta`; where it has none, its description or kwargs say it."""
    kwargs = {
        key: f"{value:g}" if isinstance(value, float) else value
        for key, value in config["kwargs"].items()
        if key != "batch_id"
    }
    texts = {"value": "", **config["meta"]}
    if "what" not in texts:
        call = ", ".join(f"{key}={value}" for key, value in kwargs.items())
        rule = config.get("description") or f"{config['type']}({call})"
        texts = {"what": f"not met: {rule}", "hint": f"as {path} asks", "value": "{}"}
    filled = [Template(str(texts[key])) for key in Message._fields]
    return Message(*(text.safe_substitute(parameters, **kwargs) for text in filled))


def _write_docs(context: Any, folder: Path) -> None:
    """Write Great Expectations' Data Docs."""
    store = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder.resolve())}
    site = {"class_name": "SiteBuilder", "store_backend": store}
    context.variables.data_docs_sites = {"data": site}
    context.build_data_docs()
    for page in folder.rglob("*.html"):
        text = page.read_text("utf-8").replace("</head>", f"{STYLE}</head>", 1)
        page.write_text(text, "utf-8")
