"""`split`: divide the packed images into train, validation, test and hold-out."""

from digits.params import load as load_params
from digits.project import as_project
from imageproof.artifacts import WORKSPACE
from imageproof.base import Dataset, files
from imageproof.data import grouping, packed, splitting
from imageproof.dvc import stage_command
from imageproof.judge import limits


def main() -> None:
    params = load_params()
    group = params.split.group
    columns = None if group else ["part", "label", "hash", packed.META]
    images, rows = packed.load(WORKSPACE.pack, columns=columns)
    hashes = packed.load_hashes(WORKSPACE.pack)
    rows[packed.SOURCE_HASH] = hashes
    project = as_project(params)
    names = project.class_names
    parts = splitting.split(
        rows,
        percent=params.data.percent,
        params=params.split,
        seed=params.seed,
        names=names,
    )
    data = Dataset(images, rows["label"].to_numpy(), grouping.numbers(rows, group))
    WORKSPACE.write_splits(parts, data, hashes)
    summary = splitting.summarise_splits(parts, rows)
    summary["sources"] = packed.load_summary(WORKSPACE.pack)["sources"]
    if group:
        summary["groups"] = grouping.count(parts, rows, group)
        print(f"groups of {group}: {_listed(summary['groups'])}")
    files.write_json(WORKSPACE.split_summary, summary)
    print(_listed(summary["rows"]))
    warnings = limits.split_warnings(summary, project.promote, names)
    warnings += splitting.part_warnings(parts, rows, params.split, params.seed, names)
    for line in warnings:
        print(f"warning: {line}")


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


if __name__ == "__main__":
    stage_command.run_stage(main)
