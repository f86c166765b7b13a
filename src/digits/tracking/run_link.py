"""Where MLflow's page shows a run."""

from dataclasses import dataclass

LOCAL_UI = "http://127.0.0.1:5000"
MODE = "workflowType=machine_learning"  # else MLflow 3 opens among its tools for language models


@dataclass(frozen=True)
class RunLink:
    """A run as its training recorded it."""

    run_id: str
    experiment_id: str
    tracking_uri: str

    @property
    def served(self) -> bool:
        """Whether a server already shows it; if not, `make ui` has to be started first."""
        return self.tracking_uri.startswith(("http://", "https://"))

    def address(self, local: str = LOCAL_UI) -> str:
        """The page of the run; `local` is the server of runs that were logged without one."""
        server = (self.tracking_uri if self.served else local).rstrip("/")
        return f"{server}/#/experiments/{self.experiment_id}/runs/{self.run_id}?{MODE}"
