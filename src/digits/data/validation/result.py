"""What validation found: one check per expectation and part, critical or warning."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

SHOWN_ROWS = 5


@dataclass(frozen=True)
class Check:
    """One expectation on one part of the data."""

    part: str
    severity: Literal["critical", "warning"]
    expectation: str  # Great Expectations' name
    column: str | None  # of the summary frame; None where the table as a whole is judged
    success: bool
    count: int  # rows (or classes) that fail; 0 where the table as a whole is judged
    rows: list[int]  # the first of them, in the part, from 0
    classes: list[int]  # the first of them, where classes are judged
    message: str | None  # one line for the user, where it fails

    def __str__(self) -> str:
        return self.message or f"{self.part}: {self.expectation} holds"


@dataclass(frozen=True)
class Result:
    """The whole judgement; equal data and params give an equal `as_dict`."""

    summary: dict[str, Any]
    checks: list[Check]
    sources: dict[str, Any] = field(repr=False)  # Great Expectations' own, for the Data Docs

    @classmethod
    def of(cls, sources: dict[str, Any], summary: dict[str, Any]) -> "Result":
        """Read Great Expectations' results, named `<part> images` and `<part> classes`."""
        checks = [
            _check(name, verdict)
            for name, source in sources.items()
            for verdict in source.to_json_dict()["results"]
        ]
        return cls(summary, checks, sources)

    @property
    def critical(self) -> list[Check]:
        """Findings that forbid training on the data."""
        return self._failed("critical")

    @property
    def warnings(self) -> list[Check]:
        """Findings to know of."""
        return self._failed("warning")

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON; holds no time and no random id."""
        checks = [asdict(check) for check in self.checks]
        return {
            "success": not self.critical,
            "critical": len(self.critical),
            "warnings": len(self.warnings),
            "summary": self.summary,
            "findings": [check for check in checks if not check["success"]],
            "expectations": [{key: check[key] for key in _JUDGED} for check in checks],
        }

    def _failed(self, severity: str) -> list[Check]:
        return [c for c in self.checks if c.severity == severity and not c.success]


_JUDGED = ("part", "severity", "expectation", "column", "success")


def _check(name: str, verdict: dict[str, Any]) -> Check:
    """A check from one of Great Expectations' verdicts on `<part> images` or `<part> classes`."""
    part, judged = name.split(" ")
    config, found = verdict["expectation_config"], verdict["result"]
    unit = "class" if judged == "classes" else "row"
    failing = found.get("partial_unexpected_index_list") or []
    numbers = [int(entry[unit]) for entry in failing]
    column = config["kwargs"].get("column")
    count = found.get("unexpected_count", 0)
    return Check(
        part=part,
        severity=config["severity"],
        expectation=config["type"],
        column=column,
        success=verdict["success"],
        count=count,
        rows=numbers if unit == "row" else [],
        classes=numbers if unit == "class" else [],
        message=None if verdict["success"] else _message(part, unit, verdict),
    )


def _message(part: str, unit: str, verdict: dict[str, Any]) -> str:
    config, found = verdict["expectation_config"], verdict["result"]
    words = config["meta"]
    if "observed_value" in found:
        where = f": {found['observed_value']} found"
    else:
        where = f" in {_amount(found['unexpected_count'], unit)}: {_examples(unit, verdict)}"
    return f"{part}: {words['what']}{where}; {words['hint']}"


def _amount(count: int, unit: str) -> str:
    return f"{count} {unit}" if count == 1 else f"{count} {unit}{'es' if unit == 'class' else 's'}"


def _examples(unit: str, verdict: dict[str, Any]) -> str:
    """`row 4 (label 10), row 9 (label 12)`, with `…` where there are more."""
    config, found = verdict["expectation_config"], verdict["result"]
    column, value = config["kwargs"]["column"], config["meta"]["value"]
    shown = [
        f"{unit} {entry[unit]}" + (f" ({value.format(entry[column])})" if value else "")
        for entry in found["partial_unexpected_index_list"]
    ]
    more = ["…"] if found["unexpected_count"] > len(shown) else []
    return ", ".join(shown + more)
