"""Stages on workers without a shared folder, which get code and data from git and DVC."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from prefect import get_run_logger, runtime
from prefect.client.schemas.objects import State
from prefect.states import Completed

from digits.core.commands import CommandFailedError
from digits.core.errors import ServiceError, UsageError
from digits.core.pipeline import Stage
from digits.core.provenance import ARTIFACTS, OUTPUTS, read_lock
from digits.core.remote import shared_remote
from digits.core.repository import git, shown
from digits.running.elsewhere import Work
from digits.tracking import store
from flows.support.commands import DVC_ERROR, Dvc
from flows.support.places import Place
from flows.support.prefect_artifacts import Progress


class Elsewhere:
    """The stages of one flow run that run on workers."""

    def __init__(
        self,
        dvc: Dvc,
        root: Path,
        where: Mapping[str, str],
        places: Mapping[str, Place],
        timeout_s: float,
    ) -> None:
        """`where` names the place of a stage, and `places` has it; see `places.opened`."""
        self._dvc, self._where, self._places = dvc, where, places
        self._timeout_s = timeout_s
        self._commit, self._address = code(root)
        self._remote, self._settings = shared_remote(root)
        self._tracking_uri = store.tracking_uri()
        self._there: set[str] = set()  # whose outputs the remote has

    def place(self, stage: Stage) -> str | None:
        """The name of the place where the stage runs; None: here."""
        return self._where.get(stage.name, self._where.get(stage.name.split("@")[0]))

    def reproduce(self, stage: Stage, place: str) -> State[None]:
        """Bring the stage's result here; run it at the place unless it has run anywhere before.

        Raises:
            CommandFailedError: it failed, took too long, or the flow run ends.
            DigitsError: its code is not committed; the place or the remote does not answer.
        """
        if self._dvc.fetch_result(stage.name):
            self._there.add(stage.name)
            return Completed(name="Cached", message="brought from DVC's run cache")
        check_committed(self._dvc.folder, ["dvc.yaml", *stage.deps])
        if missing := [each for each in stage.upstream if each not in self._there]:
            self._push(missing)
        logger, progress = get_run_logger(), Progress(stage.name)

        def on_line(line: str) -> None:
            logger.info(line)
            progress.on_line(line)

        logger.info("runs on %s, with commit %s", place, self._commit[:12])
        self._places[place].run(self._work(stage), on_line=on_line, check=self._check())
        if not self._dvc.fetch_result(stage.name):
            raise CommandFailedError(
                f"ran on {place}, but the remote {self._remote} has no result of the inputs that"
                " are here now",
                code=ServiceError.exit_code,
            )
        self._there.add(stage.name)
        return Completed(message=f"on {place}")

    def _push(self, stages: list[str]) -> None:
        try:
            self._dvc.run("push", "--quiet", *stages)
        except CommandFailedError as error:
            code = ServiceError.exit_code if error.code == DVC_ERROR else error.code
            raise CommandFailedError(
                f"remote {self._remote}: dvc push {error}", code=code
            ) from None
        self._there.update(stages)

    def _work(self, stage: Stage) -> Work:
        folder = self._dvc.folder
        paths = [Path("params.yaml"), OUTPUTS, *map(Path, stage.kept_in_git)]
        return Work(
            stage=stage.name,
            upstream=list(stage.upstream),
            commit=self._commit,
            address=self._address,
            files={
                str(path): read_lock(folder / path)
                if path == OUTPUTS
                else (folder / path).read_text("utf-8")
                for path in paths
                if (folder / path).exists()
            },
            remote=self._remote,
            settings=self._settings,
            tracking_uri=self._tracking_uri,
            flow_run=str(runtime.flow_run.id),
            experiment=self._dvc.experiment or "",
            threaded=stage.threaded,
        )

    def _check(self) -> Callable[[float], None]:
        started = time.monotonic()

        def check(seconds: float) -> None:
            self._dvc.commands.check_not_stopped(within_s=seconds)
            if 0 < self._timeout_s < time.monotonic() - started:
                raise CommandFailedError(f"took longer than {self._timeout_s:g} s")

        return check


def code(root: Path) -> tuple[str, str]:
    """The commit here, and the address of git's remote `origin` without secrets.

    Raises:
        UsageError: there is none.
    """
    commit = git(root, "rev-parse", "HEAD")
    with suppress(ServiceError):
        address = git(root, "remote", "get-url", "origin")
        is_folder = not urlsplit(address).scheme and (root / address).exists()
        return commit, str((root / address).resolve()) if is_folder else shown(address)
    raise UsageError(
        "origin: git has no such remote, from which workers clone the code;"
        " `git remote add origin …` adds it"
    )


def check_committed(folder: Path, paths: Sequence[str]) -> None:
    """Check that files do not differ from the commit, which is all that workers get.

    Raises:
        UsageError: some do.
    """
    only = ("--", *paths, f":!{ARTIFACTS}")
    changed = git(folder, "diff", "HEAD", "--name-only", *only)
    untracked = git(folder, "ls-files", "--others", "--exclude-standard", *only)
    if files := [*changed.splitlines(), *untracked.splitlines()]:
        raise UsageError(f"{', '.join(files)}: not committed; workers get committed code only")
