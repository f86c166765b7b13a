"""`split`: divide the packed images into train, validation, test and hold-out."""

from digits.params import load as load_params
from digits.project import as_project
from imageproof.artifacts import WORKSPACE, copies_found
from imageproof.base.dataset import Dataset, Split, save_split
from imageproof.base.files import write_json
from imageproof.data import grouping, packed
from imageproof.data.splitting import split, split_warnings, summarise_splits
from imageproof.dvc.stage_command import run_stage
from imageproof.judge.few_rows import few_holdout_rows


def main() -> None:
    params = load_params()
    columns = None if params.split.group else ["part", "label", "hash"]
    images, rows = packed.load(WORKSPACE.pack, columns=columns)
    hashes = packed.load_hashes(WORKSPACE.pack)
    rows[packed.SOURCE_HASH] = hashes
    parts = split(rows, percent=params.data.percent, params=params.split, seed=params.seed)
    data = Dataset(images, rows["label"].to_numpy(), grouping.numbers(rows, params.split.group))
    for name, picks in parts.items():
        save_split(WORKSPACE.split(name), Split(data, picks), picks=picks)
    packed.save_split_hashes(WORKSPACE.split_hashes, parts, hashes)
    summary = summarise_splits(parts, rows)
    summary["sources"] = packed.load_summary(WORKSPACE.pack)["sources"]
    if params.split.group:
        summary["groups"] = grouping.count(parts, rows, params.split.group)
        print(f"groups of {params.split.group}: {_listed(summary['groups'])}")
    write_json(WORKSPACE.split_summary, summary)
    print(_listed(summary["rows"]))
    project = as_project(params)
    names = project.data.class_names or []
    warnings = copies_found(summary) + few_holdout_rows(summary, project.promote, names)
    unused = (rows["part"] == "test").sum()
    if params.split.method != "official" and unused:
        part = f"the data's own test part, {unused:,} images, is not used"
        warnings.append(f"{part}; split.method: official uses it")
    warnings += split_warnings(parts, rows, params.split, params.seed)
    for line in warnings:
        print(f"warning: {line}")


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


if __name__ == "__main__":
    run_stage(main)
