"""Markdown as the page of the benchmarks has it."""

from collections.abc import Iterable


def table(head: list[str], body: Iterable[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def or_blank(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)
