"""DVC's remotes, as machines without a shared folder use them: settings, files, results.

DVC's run cache tells, for a stage's command, params and hashes of its inputs, the hashes of its
outputs. DVC's own `--run-cache` and `repro --pull` copy all of it, one file after the other, each
time: 10,000 runs cost minutes. Here only what is missing is copied.

`python -m digits.core.remote STAGE` is `fetch_result`; its exit code is 10 if there is none.
"""

import logging
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from dvc.exceptions import DvcException
from dvc.fs import get_cloud_fs
from dvc.lock import LockError
from dvc.repo import Repo
from dvc.stage.cache import RunCacheNotFoundError
from dvc_data.hashfile.hash_info import HashInfo

from digits.core import process
from digits.core.addresses import without_credentials
from digits.core.checkout import home
from digits.core.errors import ServiceError, UsageError, one_line
from digits.core.files import replacing
from digits.core.repository import shown

Settings = dict[str, str]

# What may travel to other machines: no settings with secrets, which each has in its environment or
# in its own .dvc/config.local.
_PUBLIC = (
    *("url", "endpointurl", "region", "use_ssl", "ssl_verify"),
    *("user", "port", "account_name", "projectname"),
)
# key and value of an entry are hashes; other names could lead out of the folder
_ENTRY = re.compile(r"[0-9a-f]{2}/[0-9a-f]{64}/[0-9a-f]{64}")
COPIES_AT_ONCE = 16
NO_RESULT = 10


def shared_remote(root: Path, name: str | None = None) -> tuple[str, Settings]:
    """The name and public settings of a remote that other machines may reach; default: DVC's.

    Raises:
        UsageError: there is no such remote, or it is a folder of this project.
    """
    with Repo(str(root)) as repo:
        remotes, default = repo.config["remote"], repo.config["core"].get("remote")
    name = name or default
    if name not in remotes:
        known = ", ".join(remotes) or "none"
        raise UsageError(f"remote: {name or 'no default'!r} is not one of {known}")
    settings = {key: str(remotes[name][key]) for key in _PUBLIC if key in remotes[name]}
    if Path(settings["url"]).is_relative_to(root.resolve()):
        raise UsageError(
            f"remote: {name!r} is a folder of this project, which other machines do not see;"
            " `dvc remote add --local -d team s3://…` names one that they do"
        )
    return name, {key: shown(value) for key, value in settings.items()}


def with_own(name: str, settings: Mapping[str, str]) -> Settings:
    """The settings of a remote, with what this machine's own .dvc/config.local says of it."""
    if not (home() / ".dvc").is_dir():
        return dict(settings)
    with Repo(str(home())) as repo:
        own = repo.config.read("local").get("remote", {}).get(name, {})
    return {**settings, **own}


def use(root: Path, name: str, settings: Mapping[str, str]) -> None:
    """Make a remote the default one of a clone."""
    with Repo(str(root)) as repo, repo.config.edit("local") as config:
        config.setdefault("core", {})["remote"] = name
        config.setdefault("remote", {})[name] = with_own(name, settings)


def fetch_file(settings: Mapping[str, str], md5: str, path: Path) -> None:
    """Fetch what has this md5 from a remote.

    Raises:
        ServiceError: the remote does not answer, or does not have it.
    """
    with _opened(settings) as (files, folder):
        files.get_file(files.join(folder, "files", "md5", md5[:2], md5[2:]), str(path))


def fetch_result(root: Path, stage: str) -> bool:
    """Bring the outputs of a stage here if the run cache, here or in the default remote, has them.

    `root` must be the current folder, and hold what the stage depends on.

    Returns:
        Whether they are here now, so that `dvc repro` need not run the stage.

    Raises:
        ServiceError: the remote does not answer.
    """
    with Repo(str(root)) as repo, _default(repo) as (files, folder):
        runs = Path(repo.cache.legacy.path) / "runs"
        remote_runs = files.join(folder, "runs")

        def fetch(entry: str) -> None:
            with replacing(runs / entry) as temporary:
                files.get_file(files.join(remote_runs, entry), str(temporary))

        _each(fetch, _entries(files, remote_runs) - _local_entries(runs))
        [found] = repo.stage.collect(stage)
        if _restore(repo, found):
            return True
        # where dvc.lock records a result of these inputs, DVC looks for no other one
        for output in found.outs:
            output.hash_info = HashInfo()
        if not _restore(repo, found):
            return False
        _when_free(lambda: repo.commit(stage, force=True))
        return True


def _restore(repo: Repo, stage: Any) -> bool:
    # it would warn of each file that the remote lacks, which here is no fault
    logging.getLogger("dvc.data_cloud").setLevel(logging.ERROR)

    def restore() -> None:
        with repo.lock:
            repo.stage_cache.restore(stage, pull=True)

    try:
        _when_free(restore)
    except RunCacheNotFoundError:
        return False
    return True


def _when_free(work: Callable[[], object]) -> None:
    """Do what needs DVC's lock; others have it for seconds, while a stage begins or ends."""
    while True:
        with suppress(LockError):
            work()
            return


def push_result(root: Path, stage: str) -> None:
    """Push what the run cache knows and the default remote lacks: first outputs, then entries.

    `root` must be the current folder, where the stage is up to date.

    Raises:
        ServiceError: the remote does not answer.
    """
    with Repo(str(root)) as repo, _default(repo) as (files, folder):
        runs = Path(repo.cache.legacy.path) / "runs"
        remote_runs = files.join(folder, "runs")
        # DVC itself saves no stage with an output that git keeps
        repo.stage_cache.save(*repo.stage.collect(stage))
        new = _local_entries(runs) - _entries(files, remote_runs)
        used = repo.stage_cache.get_used_objs([tuple(entry.split("/")[1:]) for entry in new])
        for objects in used.values():
            if repo.cloud.push(objects).failed:
                raise DvcException("not all outputs could be pushed")

        def push(entry: str) -> None:
            files.put_file(str(runs / entry), files.join(remote_runs, entry))

        _each(push, new)


def _entries(files: Any, runs: str) -> set[str]:
    if not files.exists(runs):
        return set()
    found = (files.as_posix(files.relpath(path, runs)) for path in files.find(runs))
    return {entry for entry in found if _ENTRY.fullmatch(entry)}


def _local_entries(runs: Path) -> set[str]:
    found = (path.relative_to(runs).as_posix() for path in runs.glob("*/*/*"))
    return {entry for entry in found if _ENTRY.fullmatch(entry)}


def _each(copy: Any, entries: set[str]) -> None:
    with ThreadPoolExecutor(COPIES_AT_ONCE) as pool:
        list(pool.map(copy, entries))


@contextmanager
def _default(repo: Repo) -> Iterator[tuple[Any, str]]:
    name = repo.config["core"].get("remote")
    with _opened(repo.config["remote"][name]) as opened:
        yield opened


@contextmanager
def _opened(settings: Mapping[str, Any]) -> Iterator[tuple[Any, str]]:
    """The file system of a remote, and its folder there; errors name the remote."""
    address = str(settings["url"])
    try:
        kind, config, folder = get_cloud_fs({"remote": {"this": dict(settings)}}, name="this")
        yield kind(**config), folder
    except (ServiceError, UsageError):
        raise
    except PermissionError as error:  # which no waiting mends
        line = one_line(f"remote {address}: {error}", width=500)
        raise UsageError(without_credentials(line, address)) from None
    except Exception as error:  # each protocol and DVC has its own
        what = type(error).__name__ if not isinstance(error, DvcException) else "DVC"
        line = one_line(f"remote {address}: {what}: {error}", width=500)
        raise ServiceError(without_credentials(line, address)) from None


def main(stage: str) -> None:
    """Bring the outputs of a stage to the project in the current folder."""
    if not fetch_result(Path.cwd(), stage):
        sys.exit(NO_RESULT)


if __name__ == "__main__":
    process.run_stage(main)
