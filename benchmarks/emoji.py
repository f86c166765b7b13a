"""Pictures of emoji as a data set: `python -m benchmarks.emoji FOLDER` makes it.

Four npm packages hold the emoji of a vendor each, 64×64 pixels. The class is the category, and the
group is the emoji's code, as the vendors draw an emoji alike.
"""

import argparse
import csv
import json
import subprocess
import tarfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

VENDORS = ("apple", "google", "twitter", "facebook")
VERSION = "16.0.0"
NO_CLASS = "Component"  # five skin tones
SEED = 46


class Emoji(NamedTuple):
    """A picture, and what labels.csv says of it."""

    file: str
    label: str
    group: str
    vendor: str
    png: bytes


def write_emoji(folder: Path, *, packages: Path | None = None, per_class: int = 0) -> int:
    """Write the pictures and labels.csv into a new folder; returns how many there are.

    `packages` holds the npm packages, which are fetched if they are not there. With `per_class` so
    many pictures of each class are drawn with a fixed seed.
    """
    with TemporaryDirectory() as temporary:
        pictures = list(_pictures(packages or Path(temporary)))
    if per_class:
        pictures = _draw(pictures, per_class)
    for picture in pictures:
        path = folder / picture.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture.png)
    with (folder / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["file", "label", "group", "vendor"])
        table.writerows(picture[:-1] for picture in pictures)
    return len(pictures)


def _pictures(packages: Path) -> Iterator[Emoji]:
    for vendor in VENDORS:
        archive = packages / f"emoji-datasource-{vendor}-{VERSION}.tgz"
        if not archive.exists():
            name = f"emoji-datasource-{vendor}@{VERSION}"
            subprocess.run(["npm", "pack", "--silent", name], cwd=packages, check=True)
        members = _members(archive, vendor)
        for emoji in json.loads(members["package/emoji.json"]):
            png = members.get(f"package/img/{vendor}/64/{emoji['image']}")
            if png and emoji["category"] != NO_CLASS:
                yield _emoji(emoji, vendor, png)


def _members(archive: Path, vendor: str) -> dict[str, bytes]:
    """The package's list of emoji, and its pictures of 64×64 pixels."""
    members = dict[str, bytes]()
    with tarfile.open(archive) as package:
        for member in package:
            is_picture = member.name.startswith(f"package/img/{vendor}/64/")
            content = package.extractfile(member)
            if content and (is_picture or member.name == "package/emoji.json"):
                members[member.name] = content.read()
    return members


def _emoji(emoji: dict[str, Any], vendor: str, png: bytes) -> Emoji:
    label = emoji["category"]
    folder = label.lower().replace(" & ", "-").replace(" ", "-")
    file = f"{folder}/{vendor}-{emoji['image']}"
    return Emoji(file, label, emoji["unified"], vendor, png)


def _draw(pictures: list[Emoji], per_class: int) -> list[Emoji]:
    by_class = defaultdict[str, list[Emoji]](list)
    for picture in pictures:
        by_class[picture.label].append(picture)
    random = np.random.default_rng(SEED)
    drawn = list[Emoji]()
    for members in by_class.values():
        rows = np.sort(random.choice(len(members), per_class, replace=False))
        drawn += [members[row] for row in rows]
    return drawn


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.emoji", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--packages", type=Path, help="folder of the npm packages")
    parser.add_argument("--per-class", type=int, default=0, help="pictures of each class")
    options = parser.parse_args()
    count = write_emoji(options.folder, packages=options.packages, per_class=options.per_class)
    print(f"{count:,} pictures in {options.folder}")
