"""`validate`: check the packed data by Great Expectations; a critical finding is an error."""

from digits.params import load as load_params
from imageproof.artifacts import WORKSPACE
from imageproof.base.errors import DataError
from imageproof.base.files import write_json
from imageproof.base.text import printable
from imageproof.data import packed
from imageproof.dvc.stage_command import run_stage


def main(*options: str) -> None:
    """Write artifacts/validate/result.json, also if the data is refused; Data Docs if `--docs`."""
    params = load_params()
    from imageproof.data.validation.expectations import (
        validate,  # 4 s, in which one may press Ctrl-C
    )

    docs = str(WORKSPACE.data_docs) if "--docs" in options else ""
    names = WORKSPACE.class_names(params.data.classes, params.data.class_names)
    result = validate(packed.load(WORKSPACE.pack), params=params.validation, names=names, docs=docs)
    write_json(WORKSPACE.validation, result)
    parts = packed.load_summary(WORKSPACE.pack)["sources"].items()
    files = {part.split("_")[-1]: of["file"] for part, of in parts}
    said = [(c["severity"], f"{files[c['part']]}: {c['message']}") for c in result["findings"]]
    for severity, line in said:
        if severity != "critical":
            print(f"{severity}: {printable(line)}")
    if result["critical"]:
        raise DataError(*(line for severity, line in said if severity == "critical"))


if __name__ == "__main__":
    run_stage(main)
