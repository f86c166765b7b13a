"""What only Linux has, and what stands in for it elsewhere; no other module names these things.

| Linux | elsewhere, as on macOS |
|---|---|
| `prctl`: SIGTERM when the parent dies | a thread asks every half second whether it still lives |
| `/proc/cpuinfo`: name of the processor | `sysctl`, or the name that Python's `platform` knows |
| `/proc/cpuinfo`: its instruction sets | unknown: none are recorded |
| `/proc/PID/status`: peak memory | the memory at this moment |
| processors that the process and its container may use | all |
| browsers know names below `.localhost` | Safari asks the system, and not every macOS does |

Process groups, sessions and signals are POSIX, file locks are the library `filelock`.
"""

import contextlib
import ctypes
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread

PROC = Path("/proc")
QUOTA = Path("/sys/fs/cgroup/cpu.max")  # of a container
PR_SET_PDEATHSIG = 1
POLL_S = 0.5
KNOWS_NAMES_OF_LOCALHOST = sys.platform != "darwin"


def die_with_parent() -> None:
    """Get SIGTERM when the parent dies: no training outlives its `dvc repro`."""
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    except AttributeError:  # this system's C library has no prctl
        Thread(target=_watch, args=[os.getppid()], name="parent", daemon=True).start()


def processor() -> str:
    """The processor's name."""
    named = _cpuinfo("model name") or _sysctl("machdep.cpu.brand_string")
    return named or platform.processor() or platform.machine()


def instruction_sets() -> list[str]:
    """What /proc/cpuinfo calls the processor's flags or features; empty without that file."""
    return (_cpuinfo("flags") or _cpuinfo("Features")).split()


def processors() -> int:
    """How many logical processors this process may use; at least 1."""
    count = os.cpu_count() or 1
    with contextlib.suppress(AttributeError):
        count = len(os.sched_getaffinity(0))
    with contextlib.suppress(OSError, ValueError):  # the quota may be the word max
        quota, period = map(int, QUOTA.read_text("utf-8").split())
        count = min(count, max(1, quota // period))
    return count


def signal_group(group: int, signum: signal.Signals) -> None:
    """Send a signal to a process group, if it still runs."""
    # macOS answers EPERM where Linux finds no process: for a group of zombies
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signum)


def peak_memory(pid: int) -> int:
    """The most memory in bytes that a process has had; 0 if it has ended.

    (`wait4` counts the memory of the parent before the exec, too.)
    """
    import psutil

    with contextlib.suppress(OSError):
        lines = (PROC / f"{pid}/status").read_text("utf-8").splitlines()
        return max((int(x.split()[1]) * 1024 for x in lines if x.startswith("VmHWM")), default=0)
    with contextlib.suppress(psutil.Error):
        return int(psutil.Process(pid).memory_info().rss)
    return 0


def _watch(parent: int) -> None:
    """Send SIGTERM to this process once another process than `parent` is its parent."""
    while os.getppid() == parent:
        time.sleep(POLL_S)
    os.kill(os.getpid(), signal.SIGTERM)


def _cpuinfo(field: str) -> str:
    """A field of the first processor; empty if there is none."""
    try:
        lines = (PROC / "cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(field)), "")


def _sysctl(name: str) -> str:
    """A value of the kernel; empty where it has none of this name."""
    try:
        return subprocess.check_output(
            ["sysctl", "-n", name], stderr=subprocess.DEVNULL, text=True, timeout=10
        ).strip()
    except (OSError, subprocess.SubprocessError):
        return ""
