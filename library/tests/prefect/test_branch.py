"""Results of a training as a branch of git's `origin`, and the text of its pull request."""

import json

from helpers import finding

from imageproof.base.errors import ServiceError, UsageError
from imageproof.prefect.branch import append, check_push, publish

MOST_OF_GITHUB = 65_536


def tip(project, branch):
    """Its last commit at `origin`."""
    return project.git("ls-remote", "origin", f"refs/heads/{branch}").partition("\t")[0]


def text(project, branch):
    """What its last commit says."""
    return project.git("log", "-1", "--format=%B", tip(project, branch))


def test_unchanged_results_make_no_branch(team):
    team.git("add", ".")
    team.git("commit", "-qm", "results")
    assert publish() == ""
    assert tip(team, "retrain/*") == ""


def test_branch_with_other_results_stays(team):
    branch = publish()
    commit = tip(team, branch)
    assert "has moved on" not in text(team, branch)
    (team.root / "artifacts/compare.txt").write_text("other results")
    line = "has other results of this commit; merge or delete it, then run again"
    assert finding(UsageError, publish) == f"origin: its branch {branch} {line}"
    assert tip(team, branch) == commit


def test_branch_of_an_earlier_day_is_found(team):
    branch = publish()
    earlier = f"retrain/2001-01-02-{branch[-12:]}"
    team.git("push", "-q", "origin", f"{tip(team, branch)}:refs/heads/{earlier}", f":{branch}")
    assert publish() == earlier
    assert tip(team, branch) == ""


def test_moved_main_is_told(team):
    newer = team.git("commit-tree", "HEAD^{tree}", "-p", "HEAD", "-m", "newer").strip()
    team.git("push", "-q", "origin", f"{newer}:refs/heads/main")
    line = f"The default branch has moved on to {newer[:12]} meanwhile: merge it into this branch"
    assert line in text(team, publish())


def test_text_fits_into_a_pull_request(team):
    paths = [f"artifacts/{number}{200 * 'x'}.png" for number in range(200)]
    for path in paths:
        (team.root / path).touch()
    outs = [{"path": path, "md5": "0" * 32} for path in paths]
    lock = {"schema": "2.0", "stages": {"draw": {"cmd": "true", "outs": outs}}}
    (team.root / "dvc.lock").write_text(json.dumps(lock))
    branch = publish()
    message = text(team, branch)
    count = message.count("?raw=true)")
    assert 0.9 * MOST_OF_GITHUB < len(message) < 0.95 * MOST_OF_GITHUB  # `retrain` adds to it
    assert f"\n… and {len(paths) - count} more on the branch {branch}-pictures\n" in message


def test_text_is_appended(team):
    branch = publish()
    results = tip(team, branch)
    assert append(branch, "promoted") == branch
    assert text(team, branch).strip() == "promoted"
    assert team.git("diff", results, tip(team, branch)) == ""
    team.git("push", "-q", "origin", f":{branch}")
    line = f"origin: its branch {branch} is gone, so nobody reads there: promoted"
    assert finding(UsageError, append, branch, "promoted") == line


def test_no_right_to_push_is_told(team):
    check_push()
    team.git("remote", "set-url", "origin", "missing")
    assert finding(ServiceError, check_push).startswith("git push: fatal: 'missing' does not")


def test_refused_push_loses_nothing(team):
    hook = team.control / "origin.git/hooks/pre-receive"
    hook.write_text("#!/bin/sh\necho protected >&2\nexit 1\n")
    hook.chmod(0o755)
    line = finding(ServiceError, publish)
    branch = team.git("branch", "--list", "--format=%(refname:short)", "retrain/*").strip()
    assert "protected" in line
    assert line.endswith(f"; nothing is lost: `git push origin {branch}`")
