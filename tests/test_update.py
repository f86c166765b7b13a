"""`update`: library/ follows the project that it came from, and one's own changes stay."""

from functools import partial
from pathlib import Path

import pytest
from helpers import AUTHOR, finding

from imageproof.base.errors import DataError, UsageError
from imageproof.cli._update import lines, update
from imageproof.system import _repository

PYPROJECT = '[project]\nname = "imageproof"\ndependencies = [{}]\n'
DATA = "library/imageproof/data.py"
NEW = "library/imageproof/new.py"
OLD = "library/imageproof/old.py"
LINES = [f"line {number}\n" for number in range(9)]

git = partial(_repository.git, **AUTHOR)
HERE = Path()


def write(folder, files):
    """Write files into a repository and commit them; the commit."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", "change")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def digits(tmp_path, monkeypatch):
    """A project, and beside it the current folder, with its library of an older commit."""
    for name in ("digits", "shoes"):
        git(tmp_path, "init", "--quiet", "--initial-branch", "main", name)
    files = {"library/pyproject.toml": PYPROJECT.format('"numpy"'), DATA: "".join(LINES)}
    files[OLD] = "old\n"
    first = write(tmp_path / "digits", files | {"library/tests/test_data.py": "tests\n"})
    monkeypatch.chdir(tmp_path / "shoes")
    table = f'[tool.imageproof] # ours\nname = "shoes"\ncommit = "{first}"\n'
    write(HERE, files | {"pyproject.toml": table})
    return tmp_path / "digits"


def changed(number, text):
    return "".join([*LINES[:number], text, *LINES[number + 1 :]])


def test_update_takes_a_tag_and_later_the_newest(digits):
    write(digits, {DATA: changed(4, "first\n")})
    git(digits, "tag", "v1.1")
    (digits / OLD).unlink()
    library = {"library/pyproject.toml": PYPROJECT.format('"numpy", "scipy"')}
    commit = write(digits, library | {DATA: changed(4, "second\n"), NEW: "new\n"})
    update(HERE, digits, "v1.1")
    assert Path(DATA).read_text() == changed(4, "first\n")
    write(HERE, {})
    result = update(HERE, digits)
    assert Path(DATA).read_text() == changed(4, "second\n")
    assert Path(NEW).read_text() == "new\n"
    assert not any(Path(path).exists() for path in (OLD, "library/tests"))
    assert result == (commit, [DATA, NEW, OLD, *library], [], [], ["scipy"])
    assert f'commit = "{commit}"' in Path("pyproject.toml").read_text()
    assert any("`make lock`" in line for line in lines(result))
    write(HERE, {})
    assert "nothing changed" in lines(update(HERE, digits))[0]


@pytest.mark.parametrize(
    ("path", "theirs", "local", "collides"),
    [
        (DATA, changed(4, "mended\n"), changed(7, "ours\n"), False),
        (DATA, changed(4, "mended\n"), changed(4, "ours\n"), True),
        (NEW, "mended\n", "ours\n", True),
    ],
)
def test_update_keeps_own_changes(digits, path, theirs, local, collides):
    write(digits, {path: theirs})
    write(HERE, {path: local})
    result = update(HERE, digits)
    merged = {*Path(path).read_text().splitlines()}
    assert {"mended", "ours"} < merged
    assert ("=======" in merged) == collides
    assert (result.changed, result.kept, len(result.collided)) == ([path], [path], collides)


def test_update_keeps_what_one_of_both_deleted(digits):
    (digits / DATA).unlink()
    write(digits, {OLD: "mended\n"})
    Path(OLD).unlink()
    write(HERE, {DATA: "ours\n"})
    assert [line.partition(";")[0] for line in update(HERE, digits).collided] == [
        f"{DATA}: changed here, deleted there",
        f"{OLD}: deleted here, changed there",
    ]
    assert Path(DATA).read_text() == "ours\n"
    assert not Path(OLD).exists()


def test_update_refuses(digits):
    def line(error, source=digits, revision="HEAD"):
        return finding(error, update, HERE, source, revision)

    assert "git has no v9" in line(UsageError, revision="v9")
    assert "name the project that library/ came from" in line(UsageError, HERE)
    write(digits, {DATA: "\0theirs\n", "library/imageproof/a.py": "new\n"})
    shallow = digits.with_name("shallow")
    git(digits, "clone", "--quiet", "--depth", "1", f"file://{digits}", str(shallow))
    assert "this clone is shallow: `git fetch --unshallow`" in line(UsageError, shallow)
    write(HERE, {DATA: "\0ours\n"})
    assert "git cannot merge it" in line(DataError)
    assert git(HERE, "status", "--porcelain") == ""
    Path(DATA).write_text("ours\n")
    assert line(UsageError).startswith("library: has changes that are not committed; ")
    write(HERE, {"pyproject.toml": '[tool.imageproof]\nname = "shoes"\n'})
    assert "has no commit of library/" in line(UsageError)
