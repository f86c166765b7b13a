"""`validate`: check the raw data with Great Expectations; critical findings stop the pipeline."""

from pathlib import Path

from digits.artifacts import VALIDATION
from digits.data.readers.raw import read_raw, sources
from digits.params import load as load_params
from digits.toolkit import process
from digits.toolkit.errors import DataError, printable
from digits.toolkit.files import write_json


def main() -> None:
    """Write artifacts/validate/result.json, also if the data is refused."""
    params = load_params()
    from digits.data.validation.expectations import validate  # 4 s, in which one may press Ctrl-C

    folder = Path("data")
    raw = read_raw(folder)
    result = validate(raw, params=params.validation, classes=params.data.classes)
    write_json(VALIDATION, result)
    files = {part.split("_")[-1]: of["file"] for part, of in sources(folder, raw).items()}
    findings: dict[str, list[str]] = {"warning": [], "critical": []}
    for check in result["findings"]:
        findings[check["severity"]].append(f"{files[check['part']]}: {check['message']}")
    for warning in findings["warning"]:
        print(f"warning: {printable(warning)}")
    if result["critical"]:
        raise DataError(*findings["critical"])


if __name__ == "__main__":
    process.run_stage(main)
