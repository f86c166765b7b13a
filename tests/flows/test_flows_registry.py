"""The flows promote, score and retrain, and a person's answer.

Most tests replace `digits` by a small program, because the real one loads TensorFlow.
"""

import json
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest
from deployed import failure, flow_runs, log_of
from helpers import finding, python, until
from prefect.client.schemas.objects import StateType
from prefect.flow_runs import resume_flow_run
from prefect.input.actions import read_flow_run_input
from prefect.input.run_input import keyset_from_paused_state
from prefect.variables import Variable
from support import NAME, PARAMS, REPOSITORY, SMALL, write_params

import answer
from imageproof.artifacts import WORKSPACE
from imageproof.base.errors import UsageError
from imageproof.dvc.provenance import data_md5
from imageproof.mlflow import _store
from imageproof.prefect import commands
from imageproof.registry._versions import Registry
from monitor import monitor
from promote import promote
from retrain import retrain

pytestmark = pytest.mark.usefixtures("prefect_server")

# Logs its arguments. Refuses what is rejected, and once if there is a file `refuse`, which may
# have another verdict. Ends once with the exit code in a file `break`; every model is champion if
# there is a file `champion`, and another version from the second call on if there is `rollback`.
DIGITS = f"""\
#!{sys.executable}
import json, sys
from pathlib import Path

here = Path(__file__).parent
with (here / "asked").open("a") as asked:
    print(json.dumps(sys.argv[1:]), file=asked)
if (here / "break").exists():
    code = int((here / "break").read_text())
    (here / "break").unlink()
    print("error: no answer", file=sys.stderr)
    sys.exit(code)
refuse = here / "refuse"
rejected = [word for word in sys.argv if word.startswith("--rejected-by=")]
accepted = not rejected and not refuse.exists()
verdict = (refuse.exists() and refuse.read_text()) or "refused"
if "--dry-run" not in sys.argv:
    refuse.unlink(missing_ok=True)
check = {{"name": "min_accuracy", "passed": accepted, "found": "0.9 | b", "allowed": "0.8"}}
who = rejected[0].partition("=")[2] if rejected else "the gate"
if rejected and who != "the gate":
    check |= {{"name": "approval", "found": f"rejected by {{who}}"}}
is_moved = (here / "rollback").exists() and (here / "asked").read_text().count("\\n") > 1
version = "7" if is_moved else "1"
decision = {{"challenger": "version 2", "champion": version, "checks": [check]}}
decision["note"] = "add images"
champion = (here / "champion").exists()
decision = None if champion else decision
outcome = {{"run_id": "r", "version": "2", "accepted": accepted, "decision": decision}}
outcome["champion"] = version
outcome["verdict"] = "accepted" if accepted else verdict
moved = accepted and not champion and "--dry-run" not in sys.argv
print(json.dumps(outcome | {{"moved": moved}}))
sys.exit(0 if accepted else 5)
"""


@pytest.fixture
def digits(tmp_path, monkeypatch):
    """The folder of a replacement for `digits`, which the flows run."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "digits"
    program.write_text(DIGITS)
    program.chmod(0o755)
    monkeypatch.setattr(commands, "program", lambda: program)
    return folder


def calls(folder):
    """The arguments of each call of the replacement."""
    return [json.loads(line) for line in (folder / "asked").read_text().splitlines()]


@pytest.fixture
def trained(tracked, trained_project):
    """The results of a training in the current folder, whose gate accepts an accuracy of 0.1."""
    shutil.copytree(trained_project / "artifacts", "artifacts")
    shutil.copy(trained_project / "dvc.lock", ".")
    off = ("min_sensitivity", "max_calibration_error", "coverage_test", "max_unsure")
    off += ("holdout_test", "clean_commit", "data_validated")  # the last two need a repository
    write_params(
        SMALL | {f"promote.{check}": False for check in off} | {"promote.min_accuracy": 0.1}
    )


@contextmanager
def somebody(word):
    """Answer the flow run that pauses within the block; the future's result is the question."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(_answer, word)


def _answer(word):
    def paused():
        return flow_runs(state={"type": {"any_": [StateType.PAUSED]}})

    assert until(lambda: bool(paused()), seconds=300)
    [run] = paused()
    question = read_flow_run_input(keyset_from_paused_state(run.state)["description"], run.id)
    with pytest.raises(RuntimeError, match="Cannot resume"):  # by nobody
        resume_flow_run(run.id, {"approve": word == "approve", "by": " "})
    answer.main(run.id, word, by="Ada", note="looked at it")
    return str(question)


@pytest.mark.slow
@pytest.mark.usefixtures("trained")
def test_approval(prefect_server, monkeypatch):
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    with somebody("approve") as answered:
        state = promote("mlp", timeout_s=300, return_state=True)
    question = answered.result()
    assert question.startswith("Make **mlp** (run ")
    assert ") champion, the first?" in question
    assert " | at least 0.1 |\n" in question
    assert (state.name, state.message) == ("Promoted", "version 1 is champion")

    images = np.load("artifacts/split/test.npz")["images"]
    np.savez("new.npz", images=images // 3)
    state = monitor("new.npz", return_state=True)
    assert (state.type, state.name) == (StateType.COMPLETED, "Drifted")
    assert "rows; drifted: mean_ink, contrast" in str(state.message)
    assert "Drift of mean grey value, contrast" in WORKSPACE.monitor.read_text(encoding="utf-8")

    _store.connect(NAME)
    [move] = Registry(NAME).moves()
    assert (move.approval, move.reason) == ("approved by Ada", "looked at it")


def test_rejected_is_refused(digits):
    with somebody("reject") as answered:
        state = promote("mlp", timeout_s=300, return_state=True)
    run_id = state.state_details.flow_run_id
    *_, row, _, hint = answered.result().splitlines()
    assert row == "| min_accuracy | 0.9 &#124; b | 0.8 |"
    assert hint.startswith(f"Or type `python flows/answer.py {run_id} approve --by NAME` (or ")
    assert until(lambda: hint in log_of(run_id))
    message = "refused by approval (rejected by Ada); nothing moved"
    assert (state.type, state.name, state.message) == (StateType.FAILED, "Refused", message)
    judged, decided = calls(digits)
    assert "--dry-run" in judged
    assert " ".join(decided) == "promote --run=r --rejected-by=Ada --reason=looked at it --json --"


def test_approval_is_of_the_champion_in_the_question(digits):
    (digits / "rollback").touch()
    with somebody("approve") as answered:
        message = failure(promote, "mlp", timeout_s=300)
    assert "in place of version 1?" in answered.result()
    assert "nothing moved: version 7 is champion now, not 1; `prefect deployment run" in message
    assert all("--dry-run" in call for call in calls(digits))


def test_promote_unanswered_fails(digits):
    assert "never resumed" in failure(promote, "mlp", timeout_s=1)
    assert len(calls(digits)) == 1


def test_answer_without_question(digits):
    state = promote("mlp", approval="none", return_state=True)
    run = state.state_details.flow_run_id
    line = finding(UsageError, partial(answer.main, run, "approve", by="Ada"))
    assert line == f"flow run {run}: waits for no answer; Prefect's page lists what is Paused"
    line = finding(UsageError, partial(answer.main, run, "approve", by=" "))
    assert line == "--by: is empty; who answers is needed"
    done = python(REPOSITORY / "flows/answer.py", run, "perhaps", "--by", "Ada")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "answer.py: Invalid value for 'answer': " in done.stderr


def test_states_of_promotions(digits):
    def state(**parameters):
        result = promote("mlp", return_state=True, **parameters)
        return result.name, result.message

    (digits / "refuse").touch()
    assert state() == ("Refused", "refused by min_accuracy (0.9 | b); nothing moved")
    assert calls(digits)[-1][-3:] == ["--rejected-by=the gate", "--json", "--"]
    (digits / "refuse").write_text("undecided")
    message = "undecided by min_accuracy (0.9 | b); add images; nothing moved"
    assert state() == ("TooFewRows", message)
    assert state(approval="none") == ("Promoted", "version 2 is champion")
    assert calls(digits)[-1] == ["promote", "--json", "--", "mlp"]
    (digits / "champion").touch()
    assert state() == ("AlreadyChampion", "version 2 is champion")


@pytest.fixture
def retrained():
    """This flow has trained on other data."""
    Variable.set("digits_retrained_data", "other", overwrite=True)
    yield
    Variable.unset("digits_retrained_data")


def test_first_retrain_on_trained_data(project):
    deps = [{"path": "data", "md5": data_md5()}]
    lock = {"schema": "2.0", "stages": {"split": {"cmd": "true", "deps": deps}}}
    (project.root / "dvc.lock").write_text(json.dumps(lock))
    assert retrain(return_state=True).name == "Unchanged"
    Variable.unset("digits_retrained_data")


@pytest.mark.usefixtures("team", "retrained")
def test_retrain_repeats_failure(digits):
    for exit_code, name in (("1", "Failed"), ("6", "Undecided")):  # 6: a busy machine
        (digits / "break").write_text(exit_code)
        state = retrain(models=["mlp"], return_state=True)
        assert (state.type, state.name) == (StateType.FAILED, name)
        assert f"digits promote (exit {exit_code}): no answer" in str(state.message)
    assert failure(retrain, ["mpl"]) == "models: mpl is none of params.yaml's `models`"  # at once
    assert retrain(return_state=True).name == "Promoted"
    assert [words[-1] for words in calls(digits)][2:] == PARAMS["models"]
    assert Variable.get("digits_retrained_data") == data_md5()
    Variable.set("digits_retrained_data", "other", overwrite=True)
    (digits / "refuse").write_text("undecided")  # of more rows the next run has no more
    names = [retrain(models=["mlp"], return_state=True).name for _ in range(2)]
    assert names == ["Undecided", "Unchanged"]
