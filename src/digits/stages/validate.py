"""`validate`: check the packed data by Great Expectations; a critical finding is an error."""

from digits.params import load as load_params
from imageproof.artifacts import WORKSPACE
from imageproof.base import errors, files, text
from imageproof.data import packed
from imageproof.dvc import stage_command


def main(*options: str) -> None:
    """Write artifacts/validate/result.json, also if the data is refused; Data Docs if `--docs`."""
    params = load_params()
    # it takes 4 s, in which one may press Ctrl-C
    from imageproof.data.validation import expectations

    docs = str(WORKSPACE.data_docs) if "--docs" in options else ""
    result = expectations.validate(
        packed.load(WORKSPACE.pack), params=params.validation, names=params.class_names(), docs=docs
    )
    files.write_json(WORKSPACE.validation, result)
    sources = packed.load_summary(WORKSPACE.pack)["sources"]
    critical = []
    for finding in result["findings"]:
        line = f"{sources[finding['part']]['file']}: {finding['message']}"
        if finding["severity"] == "critical":
            critical.append(line)
        else:
            print(f"{finding['severity']}: {text.printable(line)}")
    if critical:
        raise errors.DataError(*critical)


if __name__ == "__main__":
    stage_command.run_stage(main)
