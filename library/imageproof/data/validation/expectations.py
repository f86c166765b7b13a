"""Checks of the raw data by Great Expectations: the suites of gx/expectations/, on data frames."""

from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any

import great_expectations as gx
import numpy as np
import pandas as pd
from great_expectations.core import expectationSuiteSchema
from great_expectations.execution_engine import pandas_execution_engine

from imageproof.base.errors import DataError
from imageproof.base.files import MAX_YAML, parsing
from imageproof.base.text import one_line
from imageproof.data.findings import SHOWN_ROWS, Message, Unit, finding
from imageproof.data.packed import Packed
from imageproof.data.validation.validate import ValidateParams

# It hashes each smaller frame for a fingerprint that we do not read: 120 MB of 600,000 rows.
pandas_execution_engine.HASH_THRESHOLD = 0
SUITES = Path("gx/expectations")  # where Great Expectations keeps those of a project
MAX_BRACKETS = 5  # of a $PARAMETER; the time that Great Expectations takes doubles with each
# Their icons and styles come from the internet; without it they would not show what failed.
STYLE = """<style>
.fa-check-circle::before { content: "✓"; color: green }
.fa-times::before { content: "✗"; color: #c00 }
.fa-exclamation-triangle::before { content: "!"; color: #c60 }
td, th { padding: 0.2em 1em; text-align: left }
footer { position: static !important }
</style>"""
KEYS = ("part", "label")
BRIEF = ("part", "severity", "expectation", "column", "success")
Values = dict[str, Any]


def validate(
    packed: Packed, *, params: ValidateParams, names: Sequence[str], docs: str = ""
) -> Values:
    """Check the training part and, if there is one, the official test part.

    Both by the suites `images` and `classes`, each by the suite of its name. Critical findings
    refuse the data; each has the `message`, and the first failing `rows` (from 0) or `classes`.
    `names` are those of the classes.
    """
    images, classes = image_frame(packed, names), len(names)
    labels = {"labels": [*range(classes)], "last_label": classes - 1}
    mode = images["mode"].mode()[0]
    given = {**params.model_dump(), **labels, "modes": [mode], "mode": mode}
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    checks, summary = [], {}
    ends = int((images["part"] == "train").sum())
    for part, rows in (("train", images[:ends]), ("test", images[ends:])):  # views, no copies
        if rows.empty:
            continue
        per_class = class_frame(rows, names)
        for suite, frame in (("images", rows), (part, rows), ("classes", per_class)):
            checks += _check(context, suite, frame, given)
        summary[part] = _summary(rows, per_class["rows"].tolist())
    if docs:  # the folder of Great Expectations' Data Docs
        store = "TupleFilesystemStoreBackend"
        files = {"class_name": store, "base_directory": str(Path(docs).resolve())}
        site = {"class_name": "SiteBuilder", "store_backend": files}
        context.variables.data_docs_sites = {"data": site}
        context.build_data_docs()
        for page in Path(docs).rglob("*.html"):
            page.write_text(
                page.read_text("utf-8").replace("</head>", STYLE + "</head>", 1), "utf-8"
            )
    failed = [check for check in checks if not check["success"]]
    critical = sum(check["severity"] == "critical" for check in failed)
    return {
        "success": not critical,
        "critical": critical,
        "warnings": len(failed) - critical,
        "summary": summary,
        "findings": failed,
        "expectations": [{key: check[key] for key in BRIEF} for check in checks],
    }


def image_frame(packed: Packed, class_names: Sequence[str]) -> pd.DataFrame:
    """The rows of `packed`, with more columns that expectations may name.

    aspect (width / height as stored, 1 if that of the model's images) and scale (below 1 if it is
    smaller than those); duplicate_of and same_as_train (for a test row) name an earlier image with
    equal pixels; other_label is that of an equal one.
    """
    height, width = packed.images.shape[1:3]
    frame, names = packed.rows.drop(columns="hash"), packed.rows["name"]
    frame["aspect"] = (frame["width"] / frame["height"] / (width / height)).round(2)
    frame["scale"] = np.minimum(frame["width"] / width, frame["height"] / height).round(2)

    def named(rows: "pd.Series[Any]") -> "pd.Series[Any]":
        return rows.map(names).astype("category")  # a byte for each row without one

    known = packed.rows["hash"][frame["fault"].isna()]  # equal pixels, equal value
    equal = known[known.duplicated(keep=False)]  # mostly few rows: what follows takes little memory
    number, part, label = equal.index.to_series(), *(frame.loc[equal.index, c] for c in KEYS)
    first = number.groupby([part, equal], observed=True).transform("first")
    frame["duplicate_of"] = named(first[first < number])
    of_train = number[part == "train"].groupby(equal).first()
    frame["same_as_train"] = named(equal[part == "test"].map(of_train).dropna())
    other = label.groupby(equal).transform("first")
    frame["other_label"] = (
        other[other != label].map(dict(enumerate(class_names))).astype("category")
    )
    return frame


def class_frame(rows: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """One row per class of one part: part, class, name, rows, and relative_share.

    That is 1 if all classes are equally frequent, and missing if the class has no rows.
    """
    classes = len(names)
    counts = rows["label"].value_counts().reindex(range(classes), fill_value=0)
    counts.index.name = None  # else Great Expectations fails to name the classes
    share = (counts * float(classes) / len(rows)).where(counts > 0).round(4)
    called = [f"class {name}" for name in names]
    columns = {"part": rows["part"].iloc[0], "class": range(classes), "name": called}
    columns["rows"] = counts
    return pd.DataFrame(columns | {"relative_share": share})


def _summary(rows: pd.DataFrame, class_counts: list[int]) -> Values:
    sizes = rows[["height", "width"]].value_counts()
    shown = [f"{h:.0f}x{w:.0f}" for h, w in sizes.index[:SHOWN_ROWS]]
    return {
        "rows": len(rows),
        "shapes": [*shown, *(["…"] if len(sizes) > len(shown) else [])],
        "class_counts": {str(c): count for c, count in enumerate(class_counts)},
        "mean_ink": round(float(rows["mean_ink"].mean()), 4),
        "blank_images": int((rows["contrast"] == 0).sum()),
        "duplicate_images": int(rows["duplicate_of"].notna().sum()),
        "images_also_in_train": int(rows["same_as_train"].notna().sum()),
    }


def _check(context: Any, name: str, frame: pd.DataFrame, given: Values) -> list[Values]:
    """Check a frame by a suite; `given` are the values of its parameters."""
    part, path = frame["part"].iloc[0], SUITES / f"{name}.json"
    unit: Unit = "class" if name == "classes" else "row"
    source = context.data_sources.add_or_update_pandas("data")
    data = source.add_dataframe_asset(f"{part}-{name}").add_batch_definition_whole_dataframe(part)
    with parsing("an expectation suite", path):
        suite = context.suites.add_or_update(_read_suite(path, name))
        # Great Expectations copies the frame: it gets the columns that the suite names
        asked = str([unit, "name", *(each.configuration.kwargs for each in suite.expectations)])
        frame = frame[[column for column in map(str, frame) if column in asked]]
        definition = gx.ValidationDefinition(name=f"{part}-{name}", data=data, suite=suite)
        results = context.validation_definitions.add(definition).run(
            batch_parameters={"dataframe": frame},
            expectation_parameters=given,
            result_format={
                "result_format": "SUMMARY",
                "unexpected_index_column_names": [unit, "name"],
                "partial_unexpected_count": SHOWN_ROWS,
            },
        )
    return [_as_check(part, unit, path, given, each) for each in results.to_json_dict()["results"]]


def _read_suite(path: Path, name: str) -> gx.ExpectationSuite:
    if (size := path.stat().st_size) > MAX_YAML:
        raise DataError(f"{path}: has {size:,} bytes; at most {MAX_YAML:,} are allowed")
    suite = expectationSuiteSchema.loads(path.read_text(encoding="utf-8"))
    for each in suite["expectations"]:
        condition = str(each.kwargs.get("row_condition"))
        if {*condition} & {*"@(`*"}:  # pandas would run the code in it, or compute 9**9**9
            raise DataError(f"{path}: row_condition {one_line(condition)!r}: has a @, (, ` or *")
        for value in each.kwargs.values():
            asked = str(value.get("$PARAMETER", "")) if isinstance(value, dict) else ""
            if "^" in asked or asked.count("(") > MAX_BRACKETS:
                what = f"has a ^, or over {MAX_BRACKETS} brackets"
                raise DataError(f"{path}: $PARAMETER {one_line(asked, width=200)!r}: {what}")
        each.id = None  # else a suite takes no expectation
    return gx.ExpectationSuite(name, [each.to_domain_obj() for each in suite["expectations"]])


def _as_check(part: str, unit: Unit, path: Path, given: Values, result: Values) -> Values:
    config, details = result["expectation_config"], result["result"]
    column, words = config["kwargs"].get("column"), _words(config, path, given)
    for fault in (result["exception_info"], *result["exception_info"].values()):
        if isinstance(fault, dict) and (said := fault.get("exception_message")):
            raise DataError(f"{path}: {config['type']} of {column}: {one_line(said, width=200)}")
    entries = details.get("partial_unexpected_index_list") or []
    count = details.get("unexpected_count", 0)
    failing = [int(entry[unit]) for entry in entries]
    message = None
    if not result["success"] and count:
        examples = [(entry["name"], entry.get(column, "?")) for entry in entries]
        message = finding(part, unit, words, count, examples)
    elif not result["success"]:
        seen = one_line(details.get("observed_value", ""))
        found = f": {seen} found" if seen else ""
        message = f"{part}: {words.what}{found}; {words.hint}"
    return {
        "part": part,
        "severity": config["severity"],
        "expectation": config["type"],
        "column": column,
        "success": result["success"],
        "count": count,
        "rows": failing if unit == "row" else [],
        "classes": failing if unit == "class" else [],
        "message": message,
    }


def _words(config: Values, path: Path, given: Values) -> Message:
    """Of an expectation's `meta`; where it has none, its description or kwargs say it."""
    config["kwargs"].pop("batch_id", None)
    kwargs = {k: f"{v:g}" if isinstance(v, float) else v for k, v in config["kwargs"].items()}
    called = ", ".join(f"{key}={value}" for key, value in kwargs.items())
    asked = config.get("description") or f"{config['type']}({called})"
    words = {"what": f"not met: {asked}", "hint": f"as {path} asks", "value": "{}"}
    words |= {"value": "", **config["meta"]} if "what" in config["meta"] else {}
    return Message(
        *(Template(str(words[k])).safe_substitute(given, **kwargs) for k in Message._fields)
    )
