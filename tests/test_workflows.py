"""GitHub's workflows: what they run exists here, and what can write runs no foreign code."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main
from ruamel.yaml import YAML
from support import REPOSITORY

from digits.cli import app

FOLDER = REPOSITORY / ".github" / "workflows"
WORKFLOWS = {path.name: YAML(typ="safe").load(path) for path in sorted(FOLDER.glob("*.yml"))}
JOBS = {
    f"{file}:{name}": job for file, flow in WORKFLOWS.items() for name, job in flow["jobs"].items()
}

workflows = pytest.mark.parametrize("workflow", WORKFLOWS.values(), ids=WORKFLOWS)
jobs = pytest.mark.parametrize("job", JOBS.values(), ids=JOBS)


def scripts(job: dict[str, Any]) -> str:
    return "\n".join(step.get("run", "") for step in job["steps"])


def calls(program: str, script: str) -> Iterator[tuple[str, list[str]]]:
    """Each call of the program: its first argument, and its options."""
    for first, rest in re.findall(rf"^\s*{program} ([\w./-]+)([^|>\n]*)", script, re.MULTILINE):
        yield first, re.findall(r"(?<=\s)--[\w-]+", rest)


@workflows
def test_it_is_not_run_with_the_rights_of_the_base_for_a_fork(workflow: dict[str, Any]) -> None:
    assert "pull_request_target" not in str(workflow["on"])
    assert workflow["permissions"] in ({}, {"contents": "read"})


@jobs
def test_a_job_that_may_write_runs_nothing_of_the_pull_request(job: dict[str, Any]) -> None:
    if "write" in job.get("permissions", {}).values():
        used = {step["uses"].partition("@")[0] for step in job["steps"] if "uses" in step}
        assert "actions/checkout" not in used
        shell = r"(mark|ours)=['\"]|if \[|else$|fi$"
        allowed = rf"\s*({shell}|printf |(id=\$\()?gh (api|pr comment) )"
        lines = filter(None, scripts(job).splitlines())
        assert [line for line in lines if not re.match(allowed, line)] == []


@jobs
def test_no_text_from_outside_is_pasted_into_a_script(job: dict[str, Any]) -> None:
    assert not re.search(r"\$\{\{(?! matrix\.)", scripts(job))


@jobs
def test_what_it_runs_exists(job: dict[str, Any]) -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for name, options in calls("digits", scripts(job)):
        known = {option for param in commands[name].params for option in param.opts}
        assert set(options) <= known
    targets = re.findall(
        r"^([\w./-]+):", (REPOSITORY / "Makefile").read_text("utf-8"), re.MULTILINE
    )
    assert {target for target, _ in calls("make", scripts(job))} <= set(targets)


def test_the_report_compares_with_the_base() -> None:
    assert [*calls("digits", scripts(JOBS["report.yml:report"]))] == [
        ("diff", ["--markdown", "--out"])
    ]
