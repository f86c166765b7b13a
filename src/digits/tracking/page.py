"""The address of MLflow's page, which `python -m digits.tracking.page PORT` prints."""

import sys

from digits.core import process
from digits.core.guard import PAGE_NAME
from digits.tracking import store, view


def address(port: str) -> str:
    """Where a server of the tracking store shows the project's runs; store and runs may be new."""
    # not every macOS knows names below .localhost
    name = PAGE_NAME if sys.platform != "darwin" else "127.0.0.1"
    return f"http://{name}:{port}{view.path(store.connect())}"


if __name__ == "__main__":
    process.run_program(lambda: print(address(*sys.argv[1:])))
