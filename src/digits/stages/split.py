"""`split`: divide the raw data into train, validation, test and hold-out."""

from pathlib import Path

from digits.artifacts import SPLIT_SUMMARY, copies_found, few_holdout_rows, split_path
from digits.data.readers.raw import read_raw, sources
from digits.data.splitting import split, summarise_splits
from digits.params import load as load_params
from digits.toolkit import process
from digits.toolkit.dataset import save_split
from digits.toolkit.files import write_json


def main() -> None:
    params = load_params()
    folder = Path("data")
    raw = read_raw(folder)
    splits = split(raw, percent=params.data.percent, params=params.split, seed=params.seed)
    for name, part in splits.items():
        save_split(split_path(name), part)
    summary = summarise_splits(splits, raw) | {"sources": sources(folder, raw)}
    write_json(SPLIT_SUMMARY, summary)
    print(", ".join(f"{name} {len(part.rows):,}" for name, part in splits.items()))
    for line in [*copies_found(summary), *few_holdout_rows(summary, params.promote.model_dump())]:
        print(f"warning: {line}")


if __name__ == "__main__":
    process.run_stage(main)
