"""Whether commands stay fast when the tracking store holds many runs."""

import sys
from collections.abc import Iterator
from statistics import median
from typing import Any

from sqlalchemy import Connection, create_engine, inspect, text

from benchmarks.markdown import table
from benchmarks.workspace import Workspace

MODEL = "mlp"
RUNS = (20, 20_000)
TIMES = 6  # the first, for which nothing is in memory yet, does not count
# What belongs to a run, and the column that names the run.
TABLES = {
    "params": "run_uuid",
    "tags": "run_uuid",
    "metrics": "run_uuid",
    "latest_metrics": "run_uuid",
    "inputs": "source_id",
}
START = """
from imageproof.mlflow import _runs
with _runs.active_run('start', experiment='digits', view=True, params={}, tags={}): pass
"""
PAGE = """
from mlflow import MlflowClient
client = MlflowClient()
digits = client.get_experiment_by_name("digits").experiment_id
assert len(client.search_runs([digits], max_results=100))
"""
COMMANDS = {
    "summary": ("digits", "summary", "--json"),
    "promote --dry-run": ("digits", "promote", MODEL, "--dry-run"),
    "history": ("digits", "history", "--json"),
    "start of a run": (sys.executable, "-c", START),
    "first page of runs": (sys.executable, "-c", PAGE),
}


def measure_scale(
    workspace: Workspace, counts: tuple[int, ...] = RUNS
) -> Iterator[dict[str, dict[str, dict[str, float]]]]:
    """Seconds of whole commands by the number of runs in the store, which only grows."""
    workspace.run("dvc", "pull", "--quiet")
    workspace.set_params(promote__clean_commit=False)  # a refusal is an error here
    workspace.run("digits", "restore")
    database = create_engine(workspace.store)
    recorded = workspace.run_record(MODEL)["run_id"]
    before = 1
    seconds: dict[str, dict[str, float]] = {}
    for count in counts:
        with database.begin() as connection:
            copy_run(connection, _restored(connection, recorded), range(before, count))
        before = count
        rounds = [
            [workspace.run(*command).wall_s for command in COMMANDS.values()] for _ in range(TIMES)
        ]
        medians = map(median, zip(*rounds[1:], strict=True))
        seconds[str(count)] = dict(zip(COMMANDS, medians, strict=True))
        yield {"SQLite file": seconds}


def copy_run(connection: Connection, template: str, numbers: range) -> None:
    """Copy a run of an MLflow database so many times, each with a seed and a second of its own."""
    columns = {name: _columns(connection, name) for name in ("runs", *TABLES)}
    [run] = connection.execute(
        text("SELECT * FROM runs WHERE run_uuid = :id"), {"id": template}
    ).mappings()
    copies = [
        {**run, "run_uuid": f"{number:032x}", "start_time": run["start_time"] - 1000 * number}
        for number in numbers
    ]
    names, values = (", ".join(f"{sign}{name}" for name in columns["runs"]) for sign in ("", ":"))
    connection.execute(text(f"INSERT INTO runs ({names}) VALUES ({values})"), copies)
    first, last = (f"{number:032x}" for number in (numbers[0], numbers[-1]))
    for name, key in TABLES.items():
        values = ", ".join(_copied(name, column, key) for column in columns[name])
        connection.execute(
            text(
                f"INSERT INTO {name} ({', '.join(columns[name])}) SELECT {values}"
                f" FROM {name} t, runs r"
                f" WHERE t.{key} = :id AND r.run_uuid BETWEEN :first AND :last"
                + (" AND t.key <> 'digits.restored_from'" if name == "tags" else "")
            ),
            {"id": template, "first": first, "last": last},
        )


def _restored(connection: Connection, recorded: str) -> str:
    """The run that `digits restore` logged for a recorded one."""
    logged = text("SELECT run_uuid FROM tags WHERE key = 'digits.restored_from' AND value = :id")
    return str(connection.execute(logged, {"id": recorded}).scalar_one())


def _columns(connection: Connection, table: str) -> list[str]:
    return [column["name"] for column in inspect(connection).get_columns(table)]


def _copied(table: str, column: str, key: str) -> str:
    """The value of a column in the copy: the run's, the template's, or a seed."""
    if column in (key, "input_uuid"):
        return "r.run_uuid"
    if (table, column) == ("params", "value"):
        return "CASE t.key WHEN 'seed' THEN CAST(r.start_time AS VARCHAR(20)) ELSE t.value END"
    return f"t.{column}"


def scale_section(part: dict[str, Any]) -> str:
    columns = {
        f"{store}, {int(count):,} runs: s": seconds
        for store, counts in part.items()
        for count, seconds in counts.items()
    }
    names = next(iter(columns.values()))
    body = [[name, *(f"{seconds[name]:.1f}" for seconds in columns.values())] for name in names]
    return f"## Cost against the number of runs\n\n{table(['command', *columns], body)}"
