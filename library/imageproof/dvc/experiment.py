"""What an experiment of DVC records: no figure of a model that it did not evaluate."""

import re
from pathlib import Path

from imageproof.base.files import md5, write_text
from imageproof.dvc.provenance import OUTPUTS, parse_lock, read_lock
from imageproof.dvc.stage_inputs import listed


def take_out_stale(name: str) -> None:
    """Take stages with metrics that are stale now out of dvc.lock, and delete what git keeps.

    An experiment records all of dvc.lock, also stages after its target. Stale are the stages that
    read an output of this one that changed, and those that read what a stale one with metrics
    wrote; a stale stage that DVC runs is recorded again. dvc.lock must be as DVC writes it.
    """
    if not OUTPUTS.exists():
        return
    text = read_lock(OUTPUTS)
    stages = parse_lock(text)
    recorded = {out.path: out.md5 for stage in stages.values() for out in stage.outs}
    sections = listed(name)
    outs = [Path(path) for section in ("outs", "metrics", "plots") for path in sections[section]]
    changed = [path for path in outs if not path.is_file() or md5(path) != recorded.get(path)]
    stale = {name}
    while changed:
        path = changed.pop()
        for reader in stages.keys() - stale:
            deps = [dep.path for dep in stages[reader].deps]
            if any(path.is_relative_to(dep) or dep.is_relative_to(path) for dep in deps):
                stale.add(reader)
                if listed(reader)["metrics"]:
                    changed += [out.path for out in stages[reader].outs]
    for reader in stale - {name}:
        metrics = listed(reader)["metrics"]
        if not metrics:  # it shows no figure, and `dvc exp apply` needs all other stages
            continue
        text = re.sub(rf"^  {re.escape(reader)}:\n(?:    .*\n)*", "", text, flags=re.MULTILINE)
        for file, settings in metrics.items():
            if settings.get("cache") is False:
                Path(file).unlink(missing_ok=True)
    write_text(OUTPUTS, text)
