"""The documentation builds without a warning, also of a dead link, and needs no network."""

import re
import shutil
import sys
from html import unescape
from urllib.parse import urlsplit

import pytest
from markdown_it import MarkdownIt
from small_project import run
from support import REPOSITORY

pytestmark = pytest.mark.slow

# Links that no test follows: there is no network here.
ELSEWHERE = {
    "https://docs.codecarbon.io/",
    "https://docs.greatexpectations.io",
    "https://en.wikipedia.org/wiki/McNemar%27s_test",
}
# Sphinx's and the theme's own, at the foot of each page
OF_THE_TOOLS = {"https://pradyunsg.me", "https://github.com/pradyunsg/furo"}


def links(text, tags):
    """What these tags of a page refer to."""
    return {unescape(x) for x in re.findall(rf'<(?:{tags})\b[^>]*?\s(?:href|src)="(.*?)"', text)}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the built site; warnings are errors."""
    root = tmp_path_factory.mktemp("documented")
    left_out = shutil.ignore_patterns("_build", "_tables", "__pycache__")
    shutil.copytree(REPOSITORY / "docs", root / "docs", ignore=left_out)
    for name in ("CONTRIBUTING.md", "params.yaml"):
        shutil.copy(REPOSITORY / name, root)
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet"]
    run(*command, "docs", "site", cwd=root)
    return root / "site"


def test_site_needs_no_network(site):
    text = "".join(path.read_text("utf-8") for path in site.rglob("*.html"))
    assert {link for link in links(text, "a") if urlsplit(link).scheme} - OF_THE_TOOLS == ELSEWHERE
    loaded = links(text, "img|link|script|iframe|source")
    assert [link for link in loaded if urlsplit(link).netloc] == []


def test_reference_explains_every_param(site):
    tables = (site.parent / "docs/_tables/params_tables.md").read_text("utf-8")
    rows = [line for line in tables.splitlines() if line.startswith("| `")]
    assert len(rows) > 70
    assert [row for row in rows if row.count(" | ") == 3 and row.endswith(" |  |")] == []


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"])
def test_top_page_has_no_dead_link(name):
    tokens = MarkdownIt().parse((REPOSITORY / name).read_text("utf-8"))
    inline = [child for token in tokens for child in token.children or []]
    targets = [str(token.attrGet("href") or token.attrGet("src") or "") for token in inline]
    # a badge, whose address GitHub makes relative to the repository's page
    paths = [re.sub(r"^../../actions/(.+\.yml)(/badge.svg)?$", r".github/\1", x) for x in targets]
    assert [path for path in paths if path and not (REPOSITORY / path).is_file()] == []
