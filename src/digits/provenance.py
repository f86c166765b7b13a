"""Which code, data, environment and machine a result comes from."""

import os
import platform
import subprocess
from collections.abc import Iterable
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from digits.errors import IntegrityError
from digits.files import md5

DATA_POINTER = Path("data.dvc")
OUTPUTS = Path("dvc.lock")
SPLIT = Path("artifacts/split/train.npz")
LOCK = Path("requirements.lock")
# Instruction sets by which TensorFlow chooses how to compute; other ones give other last bits.
FEATURES = ("amx", "asimd", "avx", "bf16", "f16c", "fma", "sse4", "sve")


def tags(*, stage: str) -> dict[str, str]:
    """Tags of a run: code, data, environment, machine, and who started it.

    `git_dirty` leaves dvc.lock out: DVC itself rewrites it while the pipeline runs.
    """
    commit = _git("rev-parse", "HEAD")
    changes = _git("status", "--porcelain", "--", ".", ":!dvc.lock")
    found = {
        "dvc_stage": stage,
        "git_commit": commit,
        "git_dirty": str(bool(changes)).lower() if commit else "",
        "data_md5": _data_of_split() or data_md5() or "untracked",
        "lock_md5": md5(LOCK) if LOCK.exists() else "",
        "cpu": cpu(),
        "cpu_features": " ".join(cpu_features()),
        "dvc_exp": os.environ.get("DVC_EXP_NAME", ""),
        "prefect_flow_run_id": os.environ.get("PREFECT__FLOW_RUN_ID", ""),
    }
    return {name: value for name, value in found.items() if value}


def data_md5(pointer_file: Path = DATA_POINTER) -> str:
    """The md5 by which data.dvc names the raw data."""
    try:
        pointer = YAML(typ="safe").load(pointer_file.read_text(encoding="utf-8"))
        return str(pointer["outs"][0]["md5"])
    except (OSError, LookupError, TypeError, YAMLError):
        return ""


def _data_of_split() -> str:
    """The md5 of the data that the split here was made from; empty where dvc.lock has none of it.

    data.dvc may name other data by now: somebody pulled while the pipeline ran.
    """
    if not SPLIT.exists() or recorded_outputs().get(SPLIT) != md5(SPLIT):
        return ""
    split = YAML(typ="safe").load(OUTPUTS.read_text(encoding="utf-8"))["stages"]["split"]
    return next((str(dep["md5"]) for dep in split.get("deps", []) if dep["path"] == "data"), "")


def recorded_outputs() -> dict[Path, str]:
    """The md5 of every stage output as dvc.lock records it; empty where there is no dvc.lock.

    Raises:
        IntegrityError: dvc.lock is damaged.
    """
    try:
        stages = YAML(typ="safe").load(OUTPUTS.read_text(encoding="utf-8")).get("stages", {})
        return {Path(o["path"]): o["md5"] for s in stages.values() for o in s.get("outs", [])}
    except FileNotFoundError:
        return {}
    except (LookupError, TypeError, AttributeError, ValueError, YAMLError):
        raise IntegrityError(
            f"{OUTPUTS}: damaged; `git checkout dvc.lock` brings it back"
        ) from None


def check_outputs(paths: Iterable[Path]) -> None:
    """Find files that are not what dvc.lock records; those that it does not name are passed over.

    Raises:
        IntegrityError: one finding per file.
    """
    recorded = recorded_outputs()
    changed = [p for p in paths if p in recorded and p.is_file() and md5(p) != recorded[p]]
    if changed:
        raise IntegrityError(
            *(
                f"{path}: md5 {md5(path)[:12]}, dvc.lock records {recorded[path][:12]}; "
                "`dvc checkout` brings it back, `dvc repro` makes it anew"
                for path in changed
            )
        )


def has_commit(commit: str) -> bool:
    """Whether the repository here knows this commit."""
    return bool(_git("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}"))


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()


def cpu() -> str:
    """The processor's name and its number of cores."""
    name = _cpuinfo("model name") or platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores"


def cpu_features() -> list[str]:
    """The processor's instruction sets for floating-point vectors; none where Linux is not.

    Those for bfloat16 are left out where DIGITS_NO_BFLOAT16 is set: no training uses them then.
    """
    flags = (_cpuinfo("flags") or _cpuinfo("Features")).split()
    if os.environ.get("DIGITS_NO_BFLOAT16"):
        flags = [flag for flag in flags if "bf16" not in flag]
    return sorted(flag for flag in flags if flag.startswith(FEATURES))


def _cpuinfo(field: str) -> str:
    """What Linux says of its first processor, empty where it does not."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(field)), "")
