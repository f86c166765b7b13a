"""Markdown as the page of the benchmarks has it."""

from collections.abc import Iterable


def table(head: list[str], body: Iterable[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
