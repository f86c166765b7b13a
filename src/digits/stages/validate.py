"""`validate`: Great Expectations judges the raw data; critical findings stop the pipeline."""

from pathlib import Path

from digits import params
from digits.core import process
from digits.core.artifacts import ROOT
from digits.core.errors import DataError, printable
from digits.core.files import write_json
from digits.data.readers.raw import read_raw
from digits.data.validation.validate import validate

FOLDER = ROOT / "validate"


def main() -> None:
    """Write artifacts/validate/, also when the data is refused."""
    checked = params.load()
    raw = read_raw(Path("data"))
    result = validate(raw, params=checked.validation, classes=checked.data.classes)
    write_json(FOLDER / "result.json", result.as_dict())
    for finding in result.warnings:
        print(f"warning: {printable(str(finding))}")
    if result.critical:
        raise DataError(*map(str, result.critical))


if __name__ == "__main__":
    process.run_stage(main)
