"""What is kept of a decision of the gate."""

import json
from dataclasses import asdict

from mlflow import MlflowClient

from imageproof.base.files import text_sha256
from imageproof.judge.gate import Decision
from imageproof.registry._history import Move
from imageproof.registry._versions import Registry, TrainedRun


def record_decision(registry: Registry, run: TrainedRun, decision: Decision, move: Move) -> None:
    """Log the decision to the run, and its gist as tags of the version."""
    version = str(move.after)
    record = {
        "at": move.at,
        "by": move.by,
        "reason": move.reason,
        "model": registry.name,
        "version": version,
        "accepted": decision.accepted,
        **asdict(decision),
    }
    text = json.dumps(record, indent=2, allow_nan=False)
    path = f"gate/{registry.name}-{version}-{move.at.replace(':', '')}.json"
    MlflowClient().log_text(run.run_id, text, path)
    tags = {
        "gate_approval": decision.approval,
        "gate_failed": ", ".join(decision.failed),
        "gate_rows": decision.compared[0].md5 if decision.compared else "",
        "gate_right": json.dumps(decision.right),
        "gate_figures": json.dumps(decision.figures, allow_nan=False),
        "gate_record": f"runs:/{run.run_id}/{path}",
        "gate_sha256": text_sha256(text),
        "gate": decision.verdict,  # last: a rollback trusts it
    }
    registry.tag(version, tags)
