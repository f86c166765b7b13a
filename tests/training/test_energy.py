"""The energy of a training, by codecarbon: of its own process, without a network."""

import json
import os
import sys
from pathlib import Path

import pytest
from support import SMALL, finding, python, write_params

from digits.params import load
from digits.stages import train
from imageproof.artifacts import TrainOutputs
from imageproof.base.errors import ServiceError, UsageError
from imageproof.keras.clock import energy_used

# Prints what was asked of the network, and what the block used.
MEASURE = """\
import sys, time
asked = []
names = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")
sys.addaudithook(lambda event, given: asked.append(given) if event in names else None)
from imageproof.keras.clock import energy_used
with energy_used("DEU") as used:
    end = time.monotonic() + 1.5
    while time.monotonic() < end: pass
print(asked, used)
"""
# What codecarbon takes from the environment, and would write, print or ask for.
CONFIGURED = {
    "EMISSIONS_ENDPOINT": "http://127.0.0.1:9",
    "OUTPUT_METHODS": "csv,api,prometheus",
    "CO2_SIGNAL_API_TOKEN": "x",
    "ELECTRICITYMAPS_API_TOKEN": "x",
    "ALLOW_MULTIPLE_RUNS": "false",
    "LOG_LEVEL": "debug",
}


def test_energy_asks_no_network_and_leaves_nothing(tmp_path: Path) -> None:
    environment = {f"CODECARBON_{name}": value for name, value in CONFIGURED.items()}
    done = python("-c", MEASURE, cwd=tmp_path, env=os.environ | environment)
    assert done.stderr == ""
    asked, _, used = done.stdout.partition(" {")
    assert asked == "[]"
    figures = json.loads(f"{{{used}".replace("'", '"'))
    assert 0 < figures["co2e_kg"] < figures["energy_kwh"] < 0.001  # 1.5 s of at most 2.4 kW
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("country", [None, "DEU"])
def test_training_has_its_energy_only_if_asked(
    project: Path, tensorflow: None, country: str | None
) -> None:
    from mlflow import MlflowClient

    write_params({**SMALL, "tracking.energy": country})
    train.main("mlp")
    outputs = TrainOutputs("mlp")
    logged = MlflowClient().get_run(outputs.read_run().run_id).data.metrics
    for found in (outputs.read_metrics(), logged):
        assert ({"energy_kwh", "co2e_kg"} <= found.keys()) == bool(country)


def test_country_that_is_none(project: Path) -> None:
    line = finding(UsageError, lambda: energy_used("XYZ").__enter__())
    assert line == "params.yaml tracking.energy: codecarbon knows no country 'XYZ'"
    write_params({**SMALL, "tracking.energy": True})
    assert "tracking.energy" in finding(UsageError, load)


def test_without_codecarbon_a_line_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "codecarbon", None)
    line = finding(ServiceError, lambda: energy_used("DEU").__enter__())
    assert line.endswith("which tracking.energy needs: pip install '.[energy]'")
