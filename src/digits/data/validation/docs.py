"""Data Docs: Great Expectations' own page, without what differs from run to run."""

import re
from typing import Any

from great_expectations.render.renderer import ValidationResultsPageRenderer
from great_expectations.render.view import DefaultJinjaPageView

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DATED = re.compile(r"\\?d=[0-9TZ.]+")


def render(results: dict[str, Any]) -> str:
    """One HTML page for several validation results, a section for each column of each."""
    document, *others = [_document(name, result) for name, result in results.items()]
    for other in others:
        document.sections.extend(other.sections)
    return _without_chance(DefaultJinjaPageView().render(document))


def _document(name: str, result: Any) -> Any:
    # a name in place of the run id, which would carry the time
    result.meta = {"run_id": {"run_name": name}}
    document = ValidationResultsPageRenderer(run_info_at_end=True).render(result)
    for section in document.sections:
        section.section_name = f"{name}: {section.section_name}"
    return document


def _without_chance(html: str) -> str:
    """Number the random ids in their order, and drop the time the logo is asked for with."""
    return _numbered(_DATED.sub("", html), _UUID)


def _numbered(text: str, pattern: re.Pattern[str]) -> str:
    numbers: dict[str, str] = {}
    return pattern.sub(lambda found: numbers.setdefault(found[0], f"id-{len(numbers)}"), text)
