"""The variables and the messages that the documentation explains are those of the code."""

import re

from blocks import named_commands, pages
from support import NAME, REPOSITORY
from typer.main import get_command

from imageproof.cli.program import app
from imageproof.system._process import ENVIRONMENT


def joined(paths):
    return "\n".join(path.read_text("utf-8") for path in paths)


SOURCES = joined(
    path
    for room in ("src", "flows", "library/imageproof")
    for path in (REPOSITORY / room).rglob("*.py")
)
# with each literal in one piece
SOURCES = re.sub(r'"\s*\n\s*f?"', "", SOURCES).replace("{project_name()}", NAME)
DEPLOY = ("servers.sh", "postgres.sh", "Procfile", "Procfile.up", "team.env", "basic_auth.ini")
RECIPES = joined(
    [
        *(REPOSITORY / name for name in ("Makefile", "environment.sh")),
        *(REPOSITORY / "deploy" / name for name in DEPLOY),
        *REPOSITORY.glob("gx/expectations/*.json"),
    ]
)
ENVIRONMENT_PAGE = (REPOSITORY / "docs/reference/environment.md").read_text("utf-8")
VARIABLE = (
    "(?:ARROW_|AWS_|CUDA_|DEMO_|DIGITS_|DO_NOT_|DVC_|GIT_|GX_|IMAGEPROOF_|KERAS_|LC_|MLFLOW_|MPL|"
    "ORT_|PAGES_|PG|PREFECT_|PYTHON|TEAM_|TF_)[A-Z0-9_]+|no_proxy"
)
"""The prefixes of the variables of everything that the project uses."""


def test_reference_names_every_variable():
    code = SOURCES.replace('variable("', f'"{NAME.upper()}_')
    names = {*re.findall(f'"({VARIABLE})"', code), *re.findall(VARIABLE, RECIPES)}
    columns = re.findall(r"^\| (`.+?) \| ", ENVIRONMENT_PAGE, re.M)
    assert {*re.findall("`([^`]+)`", "".join(columns))} == names


def test_reference_says_what_is_set():
    assert dict(re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", ENVIRONMENT_PAGE, re.M)) == ENVIRONMENT


def test_named_commands_exist():
    lines = "\n".join(line for path in pages() for line in named_commands(path))
    targets = re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text("utf-8"), re.M)
    assert {*re.findall(r"^\s*make ([^\s=]+)(?!\S)", lines, re.M)} <= {*targets}
    commands = get_command(app).commands.items()
    words = {*re.findall(r"^\s*digits ([a-z]+(?:-[a-z]+)*)(?!\S)", lines, re.M)}
    assert words == {name for name, command in commands if not command.hidden}


def test_explained_messages_are_in_code():
    page = (REPOSITORY / "docs/troubleshooting.md").read_text("utf-8")
    # what stands before a colon may be put there by another line
    messages = re.findall("^### `+(?:…: )?(.+?)`+$", page, re.M)
    assert messages
    patterns = [".*".join(map(re.escape, message.split("…"))) for message in messages]
    texts = f"{SOURCES}\n{RECIPES}"
    assert [pattern for pattern in patterns if not re.search(pattern, texts)] == []
