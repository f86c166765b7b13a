"""Events go to the configured Prefect server only; that they arrive is in tests/flows."""

import os
from pathlib import Path

import pytest
from helpers import python

EMIT = """
import sys
from imageproof.system import _events
_events.emit("imageproof.promote", {"prefect.resource.id": "imageproof.champion"}, {"after": "2"})
print("prefect" in sys.modules)
"""


def test_no_server_costs_no_import_of_prefect(workspace):
    assert python("-c", EMIT).stdout == "False\n"


def test_profile_without_a_server_sends_nothing(workspace):
    Path("prefect.toml").write_text('profiles_path = ".prefect/profiles.toml"\n')
    Path(".prefect").mkdir()
    Path(".prefect/profiles.toml").write_text('active = "local"\n[profiles.local]\n')
    done = python("-c", EMIT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")


@pytest.mark.slow
def test_server_that_is_away_stops_no_command(workspace):
    done = python("-c", EMIT, env=os.environ | {"PREFECT_API_URL": "http://127.0.0.1:9/api"})
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
