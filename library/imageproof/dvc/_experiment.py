"""What an experiment of DVC records: no figure of a model that it did not evaluate."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imageproof.base.files import md5, write_text
from imageproof.dvc._stage_inputs import listed
from imageproof.dvc.provenance import (
    OUTPUTS,
    Recorded,
    parse_lock,
    read_lock,
    recorded_outputs,
)


def take_out_stale(name: str) -> None:
    """Take stages with metrics that are stale now out of dvc.lock; delete metrics that git keeps.

    An experiment records all of dvc.lock, also stages after its target. Stale are the stages that
    read an output of this one that changed, and those that read what a stale one with metrics
    wrote; a stale stage that DVC runs is recorded again. dvc.lock must be as DVC writes it.
    """
    if not OUTPUTS.exists():
        return
    text = read_lock(OUTPUTS)
    for reader, metrics in _stale_after(name, parse_lock(text)).items():
        if metrics:  # a stage without shows no figure, and `dvc exp apply` needs all other stages
            stage = rf"^  {re.escape(reader)}:\n(?:    .*\n)*"
            text = re.sub(stage, "", text, flags=re.MULTILINE)
        for file, settings in metrics.items():
            if settings.get("cache") is False:
                Path(file).unlink(missing_ok=True)
    write_text(OUTPUTS, text)


def _stale_after(name: str, stages: Mapping[str, Recorded]) -> dict[str, dict[str, Any]]:
    """The stages that are stale after this one ran, and the metrics that dvc.yaml lists of each."""
    recorded = recorded_outputs()
    sections = listed(name)
    outs = [Path(path) for section in ("outs", "metrics", "plots") for path in sections[section]]
    changed = [path for path in outs if not path.is_file() or md5(path) != recorded.get(path)]
    stale: dict[str, dict[str, Any]] = {}
    while changed:
        path = changed.pop()
        for reader in stages.keys() - stale.keys() - {name}:
            deps = stages[reader].inputs
            if any(path.is_relative_to(dep) or dep.is_relative_to(path) for dep in deps):
                stale[reader] = listed(reader)["metrics"]
                if stale[reader]:
                    changed += stages[reader].outputs
    return stale
