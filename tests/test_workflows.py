"""What GitHub reads: what it runs exists here, and what can write runs no foreign code."""

import re
import subprocess

import foreign
import pytest
import typer.main
from ruamel.yaml import YAML
from support import REPOSITORY

from imageproof.cli.program import app

GITHUB = REPOSITORY / ".github"
FILES = {path: YAML(typ="safe").load(path) for path in sorted(GITHUB.rglob("*.yml"))}
WORKFLOWS = {path.name: flow for path, flow in FILES.items() if path.parent.name == "workflows"}
JOBS = {
    f"{file}:{name}": job for file, flow in WORKFLOWS.items() for name, job in flow["jobs"].items()
}
JOBS |= {p.parent.name: action["runs"] for p, action in FILES.items() if p.name == "action.yml"}
TARGETS = re.findall(r"^([\w./-]+):", (REPOSITORY / "Makefile").read_text("utf-8"), re.MULTILINE)

workflows = pytest.mark.parametrize("workflow", WORKFLOWS.values(), ids=WORKFLOWS)
jobs = pytest.mark.parametrize("job", JOBS.values(), ids=JOBS)


def scripts(job):
    return "\n".join(step.get("run", "") for step in job["steps"])


def calls(program, script):
    """Each call of the program: its first argument, and its options."""
    for name, words in re.findall(rf"^\s*{program} ([\w./-]+)([^|>\n]*)", script, re.MULTILINE):
        yield name, re.findall(r"(?<=\s)--[\w-]+", words)


@workflows
def test_fork_gets_no_rights_of_the_base(workflow):
    assert "pull_request_target" not in str(workflow["on"])
    assert workflow["permissions"] in ({}, {"contents": "read"})


@jobs
def test_job_that_may_write_runs_no_foreign_code(job):
    if "write" in job.get("permissions", {}).values():
        used = {step["uses"].partition("@")[0] for step in job["steps"] if "uses" in step}
        assert "actions/checkout" not in used
        shell = r"(mark|ours)=['\"]|if \[|else$|fi$"
        allowed = rf"\s*({shell}|printf |(id=\$\()?gh (api|pr comment) )"
        lines = filter(None, scripts(job).splitlines())
        assert [line for line in lines if not re.match(allowed, line)] == []


@jobs
def test_no_text_from_outside_is_pasted_into_a_script(job):
    assert not re.search(r"\$\{\{(?! matrix\.)", scripts(job))


@jobs
def test_what_it_runs_exists(job):
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for name, options in calls("digits", scripts(job)):
        assert {*options} <= {opt for param in commands[name].params for opt in param.opts}
    assert {target for target, _ in calls("make", scripts(job))} <= {*TARGETS}
    for step in job["steps"]:
        name = step.get("uses", "")
        assert not name.startswith("./") or (REPOSITORY / name / "action.yml").is_file()


def test_the_report_compares_with_the_base():
    assert [*calls("digits", scripts(JOBS["report.yml:report"]))] == [("diff", ["--markdown"])]


@pytest.mark.slow
def test_checkers_of_workflows_find_no_fault(tmp_path):
    packages = ("check-jsonschema==0.39.0", "zizmor==1.32.0")
    programs = foreign.environment(tmp_path / "environment", *packages).parent
    schema = [programs / "check-jsonschema", "--builtin-schema", "vendor.github-workflows"]
    rights = [programs / "zizmor", "--quiet", "--offline", "--min-severity", "medium"]
    for command in ([*schema, *GITHUB.glob("workflows/*")], [*rights, GITHUB]):
        subprocess.run(command, check=True)
