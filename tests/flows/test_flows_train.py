"""The `train` flow on a small project: which stages run, when, and how it ends."""

import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import psutil
import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterKey,
    FlowRunFilter,
    FlowRunFilterId,
)
from prefect.client.schemas.objects import State
from prefect.client.schemas.sorting import ArtifactSort
from small_project import Project, run
from support import REPOSITORY, has_ended, python, until

from digits.core.machine import Slots
from flows.support import commands
from flows.support.prefect_artifacts import publish_results
from flows.train import train

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]

ALL = {"prepare", "train-mlp", "train-cnn", "compare"}


def task_states(state: State[Any]) -> dict[str, str]:
    """Name of each task of a flow run, and the name of its last state."""
    with get_client(sync_client=True) as client:
        only = FlowRunFilter(id=FlowRunFilterId(any_=[state.state_details.flow_run_id]))
        runs = client.read_task_runs(flow_run_filter=only)
    return {run.name: run.state_name for run in runs}


def test_runs_each_stage_of_dvc_yaml_as_a_task_in_the_order_of_the_graph(project: Project) -> None:
    state = train(return_state=True)
    assert state.is_completed(), state.message
    assert set(project.ran()) == ALL
    assert project.ran()[0] == "prepare"
    assert project.ran()[-1] == "compare"
    assert state.message == "4 ran, 0 cached"
    tasks = dict.fromkeys(("prepare", "train@mlp", "train@cnn", "compare"), "Completed")
    assert until(lambda: task_states(state) == tasks)  # the server learns of them a little later


def test_only_what_changed_and_its_dependants_run(project: Project) -> None:
    project.dvc("repro", "-q")
    project.set_epochs("mlp", 2)
    state = train(return_state=True)
    assert project.ran()[4:] == ["train-mlp", "compare"]
    assert state.message == "2 ran, 2 cached"
    assert train(return_state=True).message == "0 ran, 4 cached"
    assert len(project.ran()) == 6


def test_force_runs_every_stage_of_the_targets(project: Project) -> None:
    project.dvc("repro", "-q")
    state = train(targets=["train@cnn"], force=True, return_state=True)
    assert state.is_completed(), state.message
    assert project.ran()[4:] == ["prepare", "train-cnn"]


def test_a_failed_stage_fails_the_flow_and_leaves_independent_branches_to_finish(
    project: Project,
) -> None:
    project.fails("train-mlp")
    state = train(return_state=True)
    assert state.is_failed()
    assert state.message is not None
    assert "train@mlp" in state.message
    assert "no disk left on the moon" in state.message
    assert "not run: compare" in state.message
    assert "train-cnn" in [words[0] for words in project.log("end")]


def test_a_stage_that_ends_without_a_word_is_told_by_its_exit_code(project: Project) -> None:
    project.fails_with("prepare", 3)
    state = train(targets=["prepare"], return_state=True)
    assert str(state.message).startswith("prepare ended with 3\n")
    assert str(state.message).endswith("python stage.py prepare, exited with 3")
    assert project.ran() == ["prepare"]  # once: another try would end as the first


def test_pages_are_links_where_they_are_served(
    project: Project, prefect_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    @flow
    def published() -> None:
        publish_results(project.root, {}, experiment=None)

    page = project.root / "artifacts/report/index.html"
    page.parent.mkdir(parents=True)
    page.touch()
    published()
    assert "- `artifacts/report/index.html`" in summary()
    monkeypatch.setenv("DIGITS_PAGES", "http://127.0.0.1:8080")
    published()
    assert "- [artifacts/report/index.html](http://127.0.0.1:8080/report/index.html)" in summary()


def summary() -> str:
    """The latest artifact of this name."""
    only = ArtifactFilter(key=ArtifactFilterKey(any_=["digits-summary"]))
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=only, sort=ArtifactSort.CREATED_DESC, limit=1)
    return str(found[0].data)


def test_a_stage_is_tried_again_where_a_service_failed_or_something_was_busy(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "RETRIES_AFTER_S", (0.1, 0.1))
    project.fails_with("train-mlp", 4, 6)
    state = train(return_state=True)
    assert state.message == "4 ran, 0 cached"
    assert sorted(project.ran()) == ["compare", "prepare", "train-cnn", *["train-mlp"] * 3]
    project.fails_with("train-mlp", 4, 6, 4)
    state = train(targets=["train@mlp"], force=True, return_state=True)
    assert str(state.message).startswith("train@mlp ended with 4\n")
    assert project.ran().count("train-mlp") == 6


def test_what_a_stage_prints_is_not_taken_for_its_exit_code(project: Project) -> None:
    pipeline = project.root / "dvc.yaml"
    printing = "|\n      echo 'ERROR: failed to reproduce it, exited with 4'\n      exit 3\n"
    pipeline.write_text(pipeline.read_text().replace("python stage.py prepare\n", printing))
    state = train(targets=["prepare"], return_state=True)
    assert str(state.message).startswith("prepare ended with 3\n")


WITH_LONG_WAITS = """
import signal

from flows.support import commands, lifecycle
from flows.train import train

signal.signal(signal.SIGINT, signal.default_int_handler)  # which background jobs ignore
commands.RETRIES_AFTER_S = (600, 600)
lifecycle.run_as_program(lambda: train(return_state=True))
"""


def test_ctrl_c_ends_the_wait_for_a_retry_with_a_line_and_130(
    project: Project, prefect_server: str
) -> None:
    project.fails_with("prepare", 4)
    env = {**os.environ, "PREFECT_API_URL": prefect_server}
    program = subprocess.Popen(
        [sys.executable, "-c", WITH_LONG_WAITS], env=env, stderr=subprocess.PIPE, text=True
    )
    with program:
        assert program.stderr is not None
        assert any("retry 1 of 2 starts in" in line for line in program.stderr)
        program.send_signal(signal.SIGINT)
        try:
            _, said = program.communicate(timeout=60)
        finally:
            program.kill()
    assert program.returncode == 130
    assert said.splitlines()[-1] == "interrupted"
    assert "Traceback" not in said
    assert project.ran() == ["prepare"]


def test_a_training_waits_for_a_slot_and_other_stages_do_not(project: Project) -> None:
    taken = Event()

    def hold_slot() -> list[str]:
        slot = Slots(project.root, 1).take()
        assert slot is not None
        taken.set()
        assert until(lambda: len(project.log("end")) == 1)
        time.sleep(1)  # time for a training that does not wait to start
        ran = project.ran()
        slot.release()
        return ran

    with ThreadPoolExecutor() as pool:
        ran_meanwhile = pool.submit(hold_slot)
        assert taken.wait(10)
        state = train(max_parallel=1, return_state=True)
        assert ran_meanwhile.result() == ["prepare"]
    assert state.is_completed(), state.message
    assert set(project.ran()) == ALL


def test_a_stage_that_takes_too_long_is_ended_with_all_its_processes(project: Project) -> None:
    project.sleeps("train-mlp", 600)
    began = time.monotonic()
    state = train(targets=["train@mlp"], stage_timeout_s=4, return_state=True)
    assert state.is_failed()
    assert "train@mlp took longer than 4 s" in str(state.message)
    assert time.monotonic() - began < 60
    started = [int(words[1]) for words in project.log()]
    assert until(lambda: all(map(has_ended, started)), seconds=10)
    project.works()
    assert train(return_state=True).is_completed()


def test_push_and_pull_bring_results_to_another_place(project: Project) -> None:
    project.dvc("remote", "add", "-d", "team", str(project.control / "remote"))
    assert train(push=True, return_state=True).is_completed()
    run("git", "add", "artifacts", cwd=project.root)
    for folder in ("artifacts", ".dvc/cache"):
        shutil.rmtree(project.root / folder)
    run("git", "checkout", "-q", "artifacts", cwd=project.root)  # what DVC does not cache
    state = train(pull=True, return_state=True)
    assert state.message == "1 ran, 4 cached"
    assert len(project.ran()) == 4


def test_data_that_a_pull_did_not_find_are_to_be_pushed(project: Project) -> None:
    project.dvc("remote", "add", "-d", "team", str(project.control / "remote"))
    for folder in ("data", ".dvc/cache"):
        shutil.rmtree(project.root / folder)
    state = train(pull=True, return_state=True)
    assert state.message == (
        "data: not in DVC's remote; `dvc push data.dvc` where it is sends it there"
    )


@pytest.mark.parametrize(
    "parameters", [{}, {"pull": True}, {"overrides": {"train.mlp.fit.epochs": 2}}]
)
def test_data_that_is_not_what_its_pointer_names_is_a_line_with_both_ways_out(
    project: Project, parameters: dict[str, Any]
) -> None:
    project.dvc("remote", "add", "-d", "team", str(project.control / "remote"))
    project.set_data("2")
    before = project.files()
    state = train(**parameters, return_state=True)
    assert state.is_failed()
    assert state.message == (
        "data: is not what data.dvc names; `dvc add data` keeps what lies there,"
        " `dvc pull --force data.dvc` takes what data.dvc names"
    )
    assert project.files() == before
    assert project.ran() == []


def test_what_never_runs_is_checked_where_a_stage_depends_on_it(project: Project) -> None:
    project.dvc("repro", "-q", "prepare")
    for path in ("unused", "extra"):
        (project.root / path).write_text("1")
    project.dvc("add", "-q", "unused", "extra")
    for path in ("unused", "extra"):
        (project.root / path).unlink()
    stages = project.root / "dvc.yaml"
    stages.write_text(stages.read_text().replace("raw.txt, data", "raw.txt, data, extra"))
    state = train(return_state=True)
    assert state.message == "extra: not found; `dvc pull extra.dvc` brings what extra.dvc names"
    project.dvc("freeze", "prepare")
    (project.root / "artifacts/prepare.txt").write_text("by hand")
    lock = (project.root / "dvc.lock").read_text()
    state = train(targets=["train@mlp"], return_state=True)
    assert "artifacts/prepare.txt: is not what prepare names; `dvc commit prepare` keeps " in str(
        state.message
    )
    assert (project.root / "dvc.lock").read_text() == lock
    assert project.ran() == ["prepare"]


def test_overrides_leave_an_experiment_and_every_file_as_it_was(project: Project) -> None:
    project.dvc("repro", "-q")
    (project.root / "raw.txt").write_text("changed, not committed")
    before = project.files()
    state = train(overrides={"train.mlp.fit.epochs": 2}, return_state=True)
    assert state.is_completed(), state.message
    assert project.files() == before
    [name] = project.dvc("exp", "list", "--name-only").split()
    assert [words[4] for words in project.log("end")][-1] == name
    assert name in project.dvc("exp", "show", "--csv")
    project.dvc("exp", "apply", name)
    assert "epochs: 2" in (project.root / "params.yaml").read_text()
    assert '"epochs": 2' in (project.root / "artifacts/train-mlp.txt").read_text()


def test_overrides_of_one_target_leave_an_experiment_though_other_stages_never_ran(
    project: Project,
) -> None:
    overrides = {"train.mlp.fit.epochs": 2}
    state = train(targets=["train@mlp"], overrides=overrides, return_state=True)
    assert state.is_completed(), state.message
    assert len(project.dvc("exp", "list", "--name-only").split()) == 1


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"targets": ["trian"]}, "targets: 'trian' is no stage; there are compare, prepare"),
        ({"targets": ["data.dvc"]}, "targets: 'data.dvc' is no stage; there are compare, prepare"),
        ({"overrides": {"train.mlp.fit.epoch": 1}}, "params.yaml train.mlp.fit.epoch: unknown key"),
        ({"overrides": {"train.mlp.fit.epochs": "many"}}, "train.mlp.fit.epochs: 'many': "),
        ({"overrides": {"train.mlp.fit.epochs": 0}}, "train.mlp.fit.epochs: 0: "),
    ],
)
def test_bad_parameters_are_told_in_one_line_before_anything_runs(
    project: Project, parameters: dict[str, Any], message: str
) -> None:
    state = train(**parameters, return_state=True)
    assert state.is_failed()
    assert message in str(state.message)
    assert len(str(state.message).splitlines()) == 1
    assert project.ran() == []


def test_a_tracking_server_that_does_not_answer_is_told_before_anything_runs(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    state = train(return_state=True)
    assert str(state.message).startswith("MLflow at http://127.0.0.1:9: no answer")
    assert project.ran() == []


def test_a_prefect_server_that_does_not_answer_is_told_in_one_line(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    done = python(REPOSITORY / "flows/train.py", cwd=project.root)
    assert done.returncode == 4
    assert done.stderr.splitlines()[-1].startswith("error: Prefect: Failed to reach API at http://")
    assert "Traceback" not in done.stderr


def test_a_prefect_server_that_goes_away_costs_no_work_and_is_told_in_one_line(
    project: Project,
) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    env |= {"PREFECT_CLIENT_MAX_RETRIES": "0", "PYTHONPATH": str(REPOSITORY)}
    project.sleeps("compare", 5)
    program = subprocess.Popen(
        [sys.executable, "-m", "flows.train"], env=env, stderr=subprocess.PIPE, text=True
    )
    try:
        assert until(lambda: "compare" in project.ran(), seconds=240)
        started = psutil.Process(program.pid).children()
        [server] = [each for each in started if "flows.support.server" in each.cmdline()]
        server.kill()
        _, said = program.communicate(timeout=120)
    finally:
        program.kill()
    assert program.returncode == 4, said
    assert "Traceback" not in said
    assert said.count("not shown in Prefect") == 1
    [error] = [line for line in said.splitlines() if line.startswith("error: ")]
    assert error.startswith("error: Prefect at http://127.0.0.1:")
    assert (project.root / "artifacts/compare.txt").exists()
    project.works()
    assert train(return_state=True).message == "0 ran, 4 cached"
