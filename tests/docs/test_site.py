"""The documentation builds without a warning, needs no network, and no link of it is dead."""

import re
import shutil
import subprocess
import sys
from html import unescape
from urllib.parse import unquote, urlsplit

import pytest
from markdown_it import MarkdownIt
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


def links(text, tags="a|img|link|script|iframe|source"):
    """What these tags of a page refer to; all but `a` is loaded with the page."""
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
    built = subprocess.run(
        [*command, root / "docs", root / "site"], capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    return root / "site"


@pytest.fixture(scope="module")
def pages(site):
    return {path.resolve(): path.read_text("utf-8") for path in site.rglob("*.html")}


def dead(link, page, pages):
    """Whether a link within the site leads nowhere."""
    parts = urlsplit(link)
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if target not in pages:
        return not target.is_file()
    name = unquote(parts.fragment)
    return name != "" and f'id="{name}"' not in pages[target]


def test_site_has_no_dead_link(pages):
    assert len(pages) > 15
    assert [
        f"{path.name}: {link}"
        for path, page in pages.items()
        for link in links(page)
        if not urlsplit(link).scheme and dead(link, path, pages)
    ] == []


def test_site_needs_no_network(pages):
    text = "".join(pages.values())
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
