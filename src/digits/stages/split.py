"""`split`: divide the raw data into train, validation, test and hold-out."""

from pathlib import Path

from digits.core import process
from digits.core.artifacts import SPLIT_SUMMARY, copies_found, split_path
from digits.core.dataset import save_split
from digits.core.files import write_json
from digits.data.readers.raw import read_raw
from digits.data.splitting import split, summarise_splits
from digits.params import load as load_params


def main() -> None:
    """Write artifacts/split/."""
    params = load_params()
    raw = read_raw(Path("data"))
    splits = split(raw, percent=params.data.percent, params=params.split, seed=params.seed)
    for name, part in splits.items():
        save_split(split_path(name), part)
    write_json(SPLIT_SUMMARY, summarise_splits(splits, raw))
    print(", ".join(f"{name} {len(part.rows):,}" for name, part in splits.items()))
    for line in copies_found():
        print(f"warning: {line}")


if __name__ == "__main__":
    process.run_stage(main)
