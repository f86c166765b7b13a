"""The variables and the messages that the documentation explains are those of the code."""

import ast
import re
from itertools import chain

import pytest
import yaml
from blocks import blocks, named_commands, pages
from prefect.utilities.importtools import import_object
from support import NAME, REPOSITORY

from imageproof.cli.program import app
from imageproof.system._process import ENVIRONMENT

DOCS = REPOSITORY / "docs"
SOURCES = [
    path
    for room in ("src", "flows", "library/imageproof")
    for path in (REPOSITORY / room).rglob("*.py")
]
DEPLOY = ("servers.sh", "postgres.sh", "Procfile", "Procfile.up", "team.env", "basic_auth.ini")
RECIPES = [REPOSITORY / name for name in ("Makefile", "environment.sh")]
RECIPES += [REPOSITORY / "deploy" / name for name in DEPLOY]
RECIPES += REPOSITORY.glob("gx/expectations/*.json")
VARIABLE = re.compile(
    r"(ARROW_|AWS_|CUDA_|DEMO_|DIGITS_|DO_NOT_|DVC_|GIT_|GX_|IMAGEPROOF_|KERAS_|LC_|MLFLOW_|MPL|ORT_|PAGES_|PG|PREFECT_|PYTHON|TEAM_|TF_)[A-Z0-9_]+|no_proxy"
)
"""The prefixes of the variables of everything that the project uses."""


def filled(part):
    """What a part of an f-string becomes."""
    if isinstance(part, ast.Constant):
        return str(part.value)
    is_name = isinstance(part, ast.FormattedValue) and ast.unparse(part.value) == "project_name()"
    return NAME if is_name else "…"


def strings(path):
    """Every text in a Python file; what an f-string fills in is `…`, but for the project's name."""
    tree = ast.parse(path.read_text("utf-8"))
    inner = {id(n) for f in ast.walk(tree) if isinstance(f, ast.JoinedStr) for n in f.values}
    constants = {ast.unparse(n.targets[0]): n.value for n in tree.body if isinstance(n, ast.Assign)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(map(filled, node.values))
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "variable":
            name = constants.get(ast.unparse(node.args[0]), node.args[0])
            yield f"{NAME.upper()}_{ast.literal_eval(name)}"
        elif isinstance(node, ast.Constant) and id(node) not in inner:
            yield str(node.value)


@pytest.fixture(scope="module")
def texts():
    """Every text of the code, and every line of the recipes."""
    texts = [text for path in SOURCES for text in strings(path)]
    return [*texts, *(line for path in RECIPES for line in path.read_text("utf-8").splitlines())]


def first_cells(page):
    """The code in the first column of each table of a page."""
    for line in (DOCS / page).read_text("utf-8").splitlines():
        if line.startswith("| `"):
            yield from re.findall(r"`([^`]+)`", line.split(" | ")[0])


def test_reference_names_every_variable(texts):
    exact = {text for text in texts if VARIABLE.fullmatch(text)}
    in_recipes = {m[0] for path in RECIPES for m in VARIABLE.finditer(path.read_text("utf-8"))}
    named = {*first_cells("reference/environment.md")}
    assert exact | in_recipes == named


def test_reference_says_what_is_set():
    page = (DOCS / "reference/environment.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", page, re.M)
    assert dict(rows) == ENVIRONMENT


def test_named_commands_exist():
    lines = "\n".join(line for path in pages() for line in named_commands(path))
    targets = re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text("utf-8"), re.M)
    assert {*re.findall(r"^\s*make ([^\s=]+)(?!\S)", lines, re.M)} <= {*targets}
    named = {*re.findall(r"^\s*digits ([a-z]+(?:-[a-z]+)*)(?!\S)", lines, re.M)}
    shown = [command for command in app.registered_commands if not command.hidden]
    names = {str(command.name or command.callback.__name__) for command in shown}
    assert named == {name.replace("_", "-") for name in names}


def test_named_deployments_take_parameters():
    registered = yaml.safe_load((REPOSITORY / "prefect.yaml").read_text("utf-8"))["deployments"]
    texts = [block.text for path in pages() for block in blocks(path) if block.language == "yaml"]
    registered += chain(*(yaml.safe_load(text) for text in texts if "entrypoint: " in text))
    takes = {}
    for deployment in registered:
        flow = import_object(deployment["entrypoint"])
        takes[f"{flow.name}/{deployment['name']}"] = flow.parameters.properties
    lines = "\n".join(line for path in pages() for line in named_commands(path))
    uses = re.findall(r"^\s*prefect deployment \w+ ([\w-]+/[\w-]+)(.*)", lines, re.M)
    assert len(uses) > 5
    for name, options in uses:
        assert {*re.findall(r"--param (\w+)=", options)} <= takes[name].keys()


def quoted():
    """The messages of the page on troubleshooting: its headings."""
    page = (DOCS / "troubleshooting.md").read_text("utf-8")
    return [message.strip("`") for message in re.findall(r"^### (`.+`)$", page, re.M)]


@pytest.mark.parametrize("message", quoted())
def test_explained_message_is_in_code(message, texts):
    pattern = re.compile(".*".join(re.escape(piece) for piece in message.split("…")), re.S)
    assert any(pattern.search(text) for text in texts)
