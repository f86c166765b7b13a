"""`update`: library/ follows the project that it came from, and one's own changes stay."""

import subprocess

import pytest
from helpers import AUTHOR, finding

from imageproof.base.errors import UsageError
from imageproof.cli.update import lines, update

PYPROJECT = '[project]\nname = "imageproof"\ndependencies = [{}]\n'
DATA = "library/imageproof/data.py"
LINES = [f"line {number}\n" for number in range(9)]


def git(folder, *arguments):
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=AUTHOR, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def write(folder, files):
    """Write files into a repository and commit them; the commit."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", "change")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def shoes(tmp_path):
    """A project beside `digits`, whose library it has as it was in the first commit."""
    for name in ("digits", "shoes"):
        (tmp_path / name).mkdir()
        git(tmp_path / name, "init", "--quiet", "--initial-branch", "main")
    files = {
        "library/pyproject.toml": PYPROJECT.format('"numpy"'),
        DATA: "".join(LINES),
        "library/imageproof/old.py": "old\n",
    }
    first = write(tmp_path / "digits", files | {"library/tests/test_data.py": "tests\n"})
    pyproject = {"pyproject.toml": f'[tool.imageproof]\nname = "shoes"\ncommit = "{first}"\n'}
    write(tmp_path / "shoes", files | pyproject)
    return tmp_path / "shoes"


def changed(number, text):
    return "".join([*LINES[:number], text, *LINES[number + 1 :]])


def test_update_changes_files_and_names_them(shoes):
    digits = shoes.parent / "digits"
    (digits / "library/imageproof/old.py").unlink()
    files = {
        DATA: changed(4, "mended\n"),
        "library/imageproof/new.py": "new\n",
        "library/pyproject.toml": PYPROJECT.format('"numpy", "scipy"'),
    }
    commit = write(digits, files)
    result = update(shoes, digits)
    assert (shoes / DATA).read_text("utf-8") == changed(4, "mended\n")
    assert (shoes / "library/imageproof/new.py").read_text("utf-8") == "new\n"
    assert not (shoes / "library/imageproof/old.py").exists()
    assert not (shoes / "library/tests").exists()
    assert result.changed == [
        DATA,
        "library/imageproof/new.py",
        "library/imageproof/old.py",
        "library/pyproject.toml",
    ]
    assert (result.requirements, result.collided) == (["scipy"], [])
    assert f'commit = "{commit}"' in (shoes / "pyproject.toml").read_text("utf-8")
    assert any("`make lock`" in line for line in lines(result))


@pytest.mark.parametrize("line", [4, 7])
def test_update_keeps_own_changes(shoes, line):
    write(shoes.parent / "digits", {DATA: changed(4, "mended\n")})
    write(shoes, {DATA: changed(line, "ours\n")})
    result = update(shoes, shoes.parent / "digits")
    text = (shoes / DATA).read_text("utf-8")
    assert result.kept == [DATA]
    if line == 4:
        assert result.collided == [DATA]
        assert {"ours", "mended", "======="} < {*text.split("\n")}
    else:
        assert result.collided == []
        assert text == changed(line, "ours\n").replace("line 4\n", "mended\n")


def test_update_refuses(shoes):
    digits = shoes.parent / "digits"
    line = finding(UsageError, lambda: update(shoes, shoes))
    assert "name the project that library/ came from" in line
    (shoes / DATA).write_text("ours\n")
    line = finding(UsageError, lambda: update(shoes, digits))
    assert line == "library: has changes that are not committed; commit them first"
    write(shoes, {"pyproject.toml": '[tool.imageproof]\nname = "shoes"\n'})
    line = finding(UsageError, lambda: update(shoes, digits))
    assert line == "pyproject.toml: [tool.imageproof] has no commit of library/"


def test_update_takes_a_tag_and_later_the_newest(shoes):
    digits = shoes.parent / "digits"
    write(digits, {DATA: changed(4, "first\n")})
    git(digits, "tag", "v1.1")
    write(digits, {DATA: changed(4, "second\n")})
    update(shoes, digits, "v1.1")
    assert "first" in (shoes / DATA).read_text("utf-8")
    write(shoes, {})
    update(shoes, digits)
    assert "second" in (shoes / DATA).read_text("utf-8")
    write(shoes, {})
    assert "nothing changed" in lines(update(shoes, digits))[0]
