"""Files of the project at a git revision: from git, DVC's cache and its remote; no checkout."""

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from digits.core.errors import DataError, ServiceError, UsageError, one_line
from digits.core.provenance import OUTPUTS, recorded_outputs
from digits.core.repository import unshallow

if TYPE_CHECKING:
    from dvc.api import DVCFileSystem
    from dvc.repo import Repo

PARSED_WHOLE = {".csv", ".json", ".lock", ".yaml"}
MAX_TEXT_BYTES = 16 << 20


class Revision:
    """The project at a revision; `commit` is its hash, empty for the workspace."""

    def __init__(self, name: str, commit: str, files: "DVCFileSystem", remote: Path | None) -> None:
        """`remote` is DVC's remote, if it is a folder in the repository."""
        self.name, self.commit, self._files, self._remote = name, commit, files, remote

    def download(self, paths: Iterable[Path], root: Path) -> None:
        """Copy files into `root`, laid out as in the project. dvc.lock comes first.

        Raises:
            UsageError: there is no dvc.lock, so the revision has no results.
            DataError: a text is too large to be what a stage writes.
            ServiceError: a file is nowhere to be had.
        """
        for path in paths:
            try:
                self._files.get_file(str(path), str(root / path))
            except Exception as error:  # each kind of remote has its own
                if path == OUTPUTS:
                    raise UsageError(f"{self.name}: has no {path}, so no results") from None
                if not self._download_versioned(path, root):
                    raise ServiceError(
                        f"{self.name}: {path} is neither in DVC's cache nor in its remote "
                        f"({one_line(error, width=300)}); `dvc push` it where it was made"
                    ) from None
            size = (root / path).stat().st_size
            if path.suffix in PARSED_WHOLE and size > MAX_TEXT_BYTES:
                raise DataError(
                    f"{self.name}: {path} has {size:,} bytes; at most {MAX_TEXT_BYTES:,} are read"
                )

    def _download_versioned(self, path: Path, root: Path) -> bool:
        """Whether a remote that git tracks, and which may have lost it since, had the file then."""
        digest = recorded_outputs(root).get(path, "")
        if self._remote is None or not digest:
            return False
        stored = self._remote / "files" / "md5" / digest[:2] / digest[2:]
        try:
            self._files.get_file(str(stored), str(root / path))
        except OSError:
            return False
        return True


@contextmanager
def open_revision(name: str | None) -> Iterator[Revision]:
    """The project in the current folder at a commit, branch, tag or DVC experiment.

    None is the workspace: its own files, and from DVC those that it has not checked out.

    Raises:
        UsageError: there is no such revision, or no project.
    """
    from dvc.api import DVCFileSystem
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    if name is not None and (not name or name.startswith("-")):
        raise UsageError(f"{name!r}: is no revision; give a commit, branch, tag or experiment")
    try:
        with Repo() as here:
            config = {key: here.config[key] for key in ("core", "remote")}
            config["cache"] = {"dir": here.cache.local_cache_dir}
            root, named = Path(here.root_dir), config["remote"].get(config["core"].get("remote"))
            folder = Path(named["url"]) if named else root.parent
            remote = folder.relative_to(root) if name and folder.is_relative_to(root) else None
        files = DVCFileSystem(".", rev=name, config=config)
        commit = files.repo.get_rev() if name else ""  # raises if there is no such revision
        _take_remotes(files.repo, config)
    except (AttributeError, DvcException) as error:  # AttributeError: `name` is a file or folder
        raise UsageError(
            f"{name or 'workspace'}: {one_line(error, width=300)}; `git fetch` brings commits, "
            "`dvc exp pull REMOTE NAME` experiments, `dvc exp list --all-commits` names them"
            + unshallow()
        ) from None
    with closing(files):
        yield Revision(name or "workspace", commit, files, remote)


def _take_remotes(repo: "Repo", config: dict[str, Any]) -> None:
    """Contact no address that the revision names: neither a remote nor the source of an import."""
    repo.config.update({key: config[key] for key in ("core", "remote")})
    for stage in repo.index.stages:
        if stage.is_import:
            stage.deps.clear()
