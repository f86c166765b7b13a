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
    sources = packed.load_summary(WORKSPACE.pack)["sources"]
    critical = []
    for finding in result["findings"]:
        line = f"{sources[finding['part']]['file']}: {finding['message']}"
        if finding["severity"] == "critical":
            critical.append(line)
        else:
            print(f"{finding['severity']}: {printable(line)}")
    if critical:
        raise DataError(*critical)


if __name__ == "__main__":
    run_stage(main)
