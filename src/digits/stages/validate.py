"""`validate`: check the raw data with Great Expectations; critical findings stop the pipeline."""

from pathlib import Path

from digits.artifacts import DATA_DOCS, VALIDATION
from digits.data.readers.raw import read_raw, sources
from digits.params import load as load_params
from digits.toolkit import process
from digits.toolkit.errors import DataError, printable
from digits.toolkit.files import write_json


def main(*options: str) -> None:
    """Write artifacts/validate/result.json, also if the data is refused; Data Docs if `--docs`."""
    params = load_params()
    from digits.data.validation.expectations import validate  # 4 s, in which one may press Ctrl-C

    folder, docs = Path("data"), str(DATA_DOCS) if "--docs" in options else ""
    raw = read_raw(folder)
    result = validate(raw, params=params.validation, classes=params.data.classes, docs=docs)
    write_json(VALIDATION, result)
    files = {part.split("_")[-1]: of["file"] for part, of in sources(folder, raw).items()}
    said = [(c["severity"], f"{files[c['part']]}: {c['message']}") for c in result["findings"]]
    for severity, line in said:
        if severity != "critical":
            print(f"{severity}: {printable(line)}")
    if result["critical"]:
        raise DataError(*(line for severity, line in said if severity == "critical"))


if __name__ == "__main__":
    process.run_stage(main)
