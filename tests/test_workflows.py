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
JOBS = {}
for path in sorted(GITHUB.rglob("*.yml")):
    content = YAML(typ="safe").load(path)
    jobs = content.get("jobs", {"action": content.get("runs", {})})
    JOBS |= {f"{path.name}:{name}": job for name, job in jobs.items() if "steps" in job}
TARGETS = re.findall(r"^([\w./-]+):", (REPOSITORY / "Makefile").read_text("utf-8"), re.MULTILINE)

of_jobs = pytest.mark.parametrize("job", JOBS.values(), ids=JOBS)


def scripts(job):
    return "\n".join(step.get("run", "") for step in job["steps"])


def calls(program, script):
    """Each call of the program: its first argument, and its options."""
    for name, words in re.findall(rf"^\s*{program} ([\w./-]+)([^|>\n]*)", script, re.MULTILINE):
        yield name, re.findall(r"(?<=\s)--[\w-]+", words)


@of_jobs
def test_job_that_may_write_runs_no_foreign_code(job):
    if "write" in job.get("permissions", {}).values():
        used = {step["uses"].partition("@")[0] for step in job["steps"] if "uses" in step}
        assert "actions/checkout" not in used
        shell = r"(mark|ours)=['\"]|if \[|else$|fi$"
        allowed = rf"\s*({shell}|printf |(id=\$\()?gh (api|pr comment) )"
        lines = filter(None, scripts(job).splitlines())
        assert [line for line in lines if not re.match(allowed, line)] == []


@of_jobs
def test_what_it_runs_exists(job):
    commands = typer.main.get_command(app).commands
    for name, options in calls("digits", scripts(job)):
        assert {*options} <= {opt for param in commands[name].params for opt in param.opts}
    assert {target for target, _ in calls("make", scripts(job))} <= {*TARGETS}
    for step in job["steps"]:
        name = step.get("uses", "")
        assert not name.startswith("./") or (REPOSITORY / name / "action.yml").is_file()


def test_the_report_compares_with_the_base():
    assert [*calls("digits", scripts(JOBS["report.yml:report"]))] == [("diff", ["--markdown"])]


@pytest.mark.slow
def test_checkers_find_no_fault_such_as_too_many_rights(tmp_path):
    packages = ("check-jsonschema==0.39.0", "zizmor==1.32.0")
    programs = foreign.environment(tmp_path / "environment", *packages).parent
    schema = [programs / "check-jsonschema", "--builtin-schema", "vendor.github-workflows"]
    rights = [programs / "zizmor", "--quiet", "--offline", "--min-severity", "medium"]
    for command in ([*schema, *GITHUB.glob("workflows/*")], [*rights, GITHUB]):
        subprocess.run(command, check=True)
