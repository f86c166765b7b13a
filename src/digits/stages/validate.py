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

    folder, docs = Path("data"), DATA_DOCS if "--docs" in options else None
    raw = read_raw(folder)
    result = validate(raw, params=params.validation, classes=params.data.classes, docs=docs)
    write_json(VALIDATION, result)
    files = {part.split("_")[-1]: of["file"] for part, of in sources(folder, raw).items()}
    critical = []
    for check in result["findings"]:
        line = f"{files[check['part']]}: {check['message']}"
        if check["severity"] == "critical":
            critical.append(line)
        else:
            print(f"{check['severity']}: {printable(line)}")
    if critical:
        raise DataError(*critical)


if __name__ == "__main__":
    process.run_stage(main)
