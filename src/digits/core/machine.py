"""The processors of this machine, and slots by which trainings share its cores and GPUs."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

from filelock import FileLock, Timeout

from digits.core import system

SLOTS = Path(".state/slots")
GPUS = "CUDA_VISIBLE_DEVICES"  # which of the GPUs CUDA shows to a process, by number or id
LIST_GPUS = ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"]
POLL_S = 0.2
# CPU instruction sets TensorFlow dispatches on; others change the last bits of a result.
FEATURES = ("amx", "asimd", "avx", "bf16", "f16c", "fma", "sse4", "sve")


def cpu() -> str:
    """The processor's name and its number of cores."""
    return f"{system.processor()}, {os.cpu_count()} cores"


def trainings_at_once(threads: int, *, mirrored: bool = False) -> int:
    """How many trainings with this number of threads have cores, or a GPU, of their own.

    At least 1. Where there are GPUs they count, not the cores; a `mirrored` training takes all.
    """
    if found := gpus():
        return 1 if mirrored else len(found)
    return max(1, system.processors() // threads)


def gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA names them; asks no TensorFlow: it takes seconds.

    Those in the environment variable CUDA_VISIBLE_DEVICES, otherwise all that NVIDIA's driver has
    if the libraries of `tensorflow[and-cuda]` are installed: without them it trains on the CPU.
    """
    visible = os.environ.get(GPUS)
    if visible is None and _has_cuda():
        with suppress(OSError, subprocess.SubprocessError):
            visible = subprocess.check_output(
                LIST_GPUS, stderr=subprocess.DEVNULL, text=True, timeout=10
            ).replace("\n", ",")
    names = [name.strip() for name in (visible or "").split(",")]
    return [name for name in names if name not in ("", "-1", "NoDevFiles")]


def _has_cuda() -> bool:
    with suppress(ModuleNotFoundError):
        return find_spec("nvidia.cudnn") is not None
    return False


@contextmanager
def own_gpu(root: Path, on_wait: Callable[[str], None], *, mirrored: bool) -> Iterator[None]:
    """Hold a GPU during this block, and let CUDA show no other to this process.

    To be entered before TensorFlow is imported. A `mirrored` training holds all GPUs. Without a GPU
    nothing is held.
    """
    if not (found := gpus()):
        yield
        return
    shares = [",".join(found)] if mirrored else found
    slots = Slots(root, [f"gpu-{share}" for share in shares])
    with slots.one(lambda _: on_wait("waiting for a free GPU")) as name:
        os.environ[GPUS] = name.removeprefix("gpu-")
        yield


def cpu_features() -> list[str]:
    """The instruction sets for floating-point vectors, sorted; empty except on Linux.

    With the environment variable DIGITS_NO_BFLOAT16, those for bfloat16 are left out: then no
    training uses them.
    """
    flags = system.instruction_sets()
    if os.environ.get("DIGITS_NO_BFLOAT16"):
        flags = [flag for flag in flags if "bf16" not in flag]
    return sorted(flag for flag in flags if flag.startswith(FEATURES))


class Slots:
    """At most so many trainings at a time, across processes. A killed process frees its slot.

    A slot is a locked file, and not a concurrency limit of Prefect: it works without a server and
    on Dask workers, and is free at once, not when a lease of minutes runs out.
    """

    def __init__(self, root: Path, slots: int | list[str]) -> None:
        """`slots` is their number, or their names."""
        self._folder = root / SLOTS
        self._names = slots if isinstance(slots, list) else [str(n) for n in range(slots)]
        self._folder.mkdir(parents=True, exist_ok=True)

    def take(self) -> FileLock | None:
        """A slot to `release()`, or None if all are taken."""
        for name in self._names:
            lock = FileLock(self._folder / f"{name}.lock", timeout=0)
            with suppress(Timeout):
                lock.acquire()
                return lock
        return None

    @contextmanager
    def one(
        self, on_wait: Callable[[str], None], *, check: Callable[[], None] = lambda: None
    ) -> Iterator[str]:
        """Hold a slot during this block, which gets its name. `check` may raise to stop waiting."""
        slot = self.take()
        if slot is None:
            on_wait("waiting for free cores: other trainings run in this folder")
        while slot is None:
            check()
            time.sleep(POLL_S)
            slot = self.take()
        try:
            yield Path(slot.lock_file).stem
        finally:
            slot.release()
