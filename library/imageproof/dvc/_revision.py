"""Files of the project at a git revision: from git, DVC's cache and its remote; no checkout.

DVC reads nothing of it: it would parse YAML of any size, and contact addresses that it finds.
"""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fsspec.implementations.local import LocalFileSystem  # type: ignore[import-untyped]

from imageproof.base.errors import DataError, IntegrityError, ServiceError, UsageError
from imageproof.base.text import one_line
from imageproof.dvc.provenance import OUTPUTS, check_outputs, recorded_outputs
from imageproof.system._repository import git, unshallow

# of files that are parsed whole; YAML takes 2 s for each MB
MB = 1 << 20
MOST_BYTES = {".csv": 16 * MB, ".json": 16 * MB, ".dvc": MB, ".lock": MB, ".yaml": MB}


class Revision:
    """The project at a revision; `commit` is its hash, empty for the workspace.

    Its files are copied to the folder `root`.
    """

    def __init__(
        self,
        name: str,
        commit: str,
        repo: Any,
        root: Path,
    ) -> None:
        self.name = name
        self.commit = commit
        self.root = root
        self._repo = repo
        self._project = Path(repo.root_dir)
        self._files = LocalFileSystem()
        self._folder = self._project
        if commit:  # these files are git's objects: no link is followed
            self._files = repo.scm.get_fs(commit)
            self._folder = self._project.relative_to(repo.scm.root_dir)

    def fetch(self, *paths: Path) -> None:
        """Copy files into `root`, laid out as in the project, and check what dvc.lock records.

        dvc.lock comes first. UsageError if there is none, DataError if a text is larger than what a
        stage writes, ServiceError if a file is nowhere to be had, IntegrityError if it has changed.
        """
        for path in paths:
            if not (self.root / path).exists():
                self._copy(path)
        with self.reading():
            check_outputs(paths, self.root)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Errors name the revision, not the folder to which its files were copied."""
        try:
            yield
        except (DataError, IntegrityError, UsageError) as error:
            lines = [line.replace(f"{self.root}/", "") for line in error.findings]
            raise type(error)(*(f"{self.name}: {line}" for line in lines)) from None

    def _copy(self, path: Path) -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if self._copy_kept(path, target):
            return
        if path == OUTPUTS:
            raise UsageError(f"{self.name}: has no {path}, so no results")
        digest = recorded_outputs(self.root).get(path, "")
        try:
            self._copy_stored(digest, target)
        except Exception as error:  # each kind of remote has its own
            cause = one_line(error, width=300)
            line = f"{self.name}: {path} is neither in DVC's cache nor in its remote ({cause})"
            raise ServiceError(f"{line}; `dvc push` it where it was made") from None
        self._check_size(path, target.stat().st_size)

    def _copy_kept(self, path: Path, target: Path) -> bool:
        kept = str(self._folder / path)
        if not self._files.isfile(kept):
            return False
        self._check_size(path, self._files.size(kept))
        self._files.get_file(kept, str(target), raw=True)  # else git's LFS would be asked
        return True

    def _copy_stored(self, digest: str, target: Path) -> None:
        if not re.fullmatch(r"[\da-f]{32}", digest):
            raise ValueError("dvc.lock has no md5 of it")
        cached = Path(self._repo.cache.local.oid_to_path(digest))
        if cached.is_file():
            shutil.copyfile(cached, target)
            return
        remote = self._repo.cloud.get_remote_odb()
        stored = remote.oid_to_path(digest)
        in_git = self.commit and Path(stored).is_relative_to(self._project)
        # a folder that git tracks may have lost it since
        if not in_git or not self._copy_kept(Path(stored).relative_to(self._project), target):
            remote.fs.get_file(stored, str(target))

    def _check_size(self, path: Path, size: int) -> None:
        limit = MOST_BYTES.get(path.suffix, size)
        if size > limit:
            raise DataError(f"{self.name}: {path} has {size:,} bytes; at most {limit:,} are read")


@contextmanager
def open_revision(name: str | None, root: Path) -> Iterator[Revision]:
    """The project here at a commit, branch, tag or DVC experiment; a UsageError if there is none.

    Its files are copied to `root`. None is the workspace: its own files, and from DVC those that it
    has not checked out.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc.scm import resolve_rev

    if name == "":  # DVC takes it for HEAD
        raise UsageError("'': is no revision; give a commit, branch, tag or experiment")
    commit = ""
    try:
        repo = Repo()
        if name:
            resolved = resolve_rev(repo.scm, name)  # it also takes HEAD:FILE, no commit
            commit = git(Path(repo.root_dir), "rev-parse", "--verify", f"{resolved}^{{commit}}")
    except (AttributeError, ValueError, DvcException, UsageError) as error:
        raise UsageError(
            f"{one_line(name or 'workspace')}: {one_line(error, width=300)}; `git fetch` brings "
            "commits, `dvc exp pull REMOTE NAME` experiments, `dvc exp list --all-commits` names "
            "them" + unshallow()
        ) from None
    with repo:
        yield Revision(name or "workspace", commit, repo, root)
