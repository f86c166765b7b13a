"""`validate`: check the raw data with Great Expectations; critical findings stop the pipeline."""

from pathlib import Path

from digits.artifacts import VALIDATION
from digits.data.readers.raw import read_raw
from digits.params import load as load_params
from digits.toolkit import process
from digits.toolkit.errors import DataError, printable
from digits.toolkit.files import write_json


def main() -> None:
    """Write artifacts/validate/result.json, also if the data is refused."""
    params = load_params()
    from digits.data.validation.expectations import validate  # 4 s, in which one may press Ctrl-C

    raw = read_raw(Path("data"))
    result = validate(raw, params=params.validation, classes=params.data.classes)
    write_json(VALIDATION, result)
    for check in result["findings"]:
        if check["severity"] == "warning":
            print(f"warning: {printable(check['message'])}")
    if result["critical"]:
        raise DataError(*(c["message"] for c in result["findings"] if c["severity"] == "critical"))


if __name__ == "__main__":
    process.run_stage(main)
