"""`make team`: real servers behind a proxy that asks for passwords, which come back when killed."""

import pytest
import requests
from support import until

from flows.team.control import Team

pytestmark = pytest.mark.slow


def test_a_killed_server_comes_back_with_what_it_held(team: Team) -> None:
    team.start("mlflow")
    login = (team.env["MLFLOW_TRACKING_USERNAME"], team.env["MLFLOW_TRACKING_PASSWORD"])
    address = f"{team.env['MLFLOW_TRACKING_URI']}/api/2.0/mlflow/experiments"
    made = requests.post(f"{address}/create", json={"name": "kept"}, auth=login, timeout=30)
    assert made.ok
    for name in ("postgres", "mlflow", "nginx", "s3"):
        before = team.pid(name)
        team.kill(name)
        assert until(lambda name=name: team.answers(name), seconds=60)
        assert team.pid(name) != before
    found = requests.get(
        f"{address}/get-by-name", params={"experiment_name": "kept"}, auth=login, timeout=30
    )
    assert found.json()["experiment"]["experiment_id"] == made.json()["experiment_id"]
