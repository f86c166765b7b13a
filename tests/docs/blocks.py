"""The fenced blocks of README.md and docs/, with the comment that stands before each."""

import re
from typing import NamedTuple

from markdown_it import MarkdownIt
from support import REPOSITORY

FIRST = ("README.md", "docs/how-to/experiments.md", "docs/how-to/serving.md")


class Block(NamedTuple):
    """One block: where it stands, its language, its text, and the comment before it."""

    place: str
    language: str
    text: str
    comment: str


def pages():
    """Those that a new user reads first, then the others."""
    first = [REPOSITORY / name for name in FIRST]
    paths = sorted({*REPOSITORY.glob("docs/**/*.md")} - {*first})
    return [*first, *(path for path in paths if not path.parent.name.startswith("_"))]


def blocks(path):
    """The fenced blocks of a page, in order."""
    tokens = MarkdownIt().parse(path.read_text("utf-8"))
    fences = []
    comment = ""
    for token in tokens:
        if token.type == "fence":
            place = f"{path}:{token.map[0] + 1}"
            fences.append(Block(place, token.info.strip(), token.content, comment))
        comment = ""
        if token.type == "html_block":
            comment = "".join(re.findall(r"\A<!-- (.+) -->\n*\Z", token.content))
    return fences


def named_commands(path):
    """The code within the sentences of a page, and the lines of its shell blocks."""
    tokens = MarkdownIt("commonmark").enable("table").parse(path.read_text("utf-8"))
    inner = [child for token in tokens for child in token.children or []]
    shell = "".join(block.text for block in blocks(path) if block.language == "sh")
    return [
        *(token.content for token in inner if token.type == "code_inline"),
        *shell.replace("\\\n", "").splitlines(),
    ]
