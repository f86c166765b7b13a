"""Which data a result comes from, as data.dvc and dvc.lock record it."""

import fcntl
import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field
from ruamel.yaml.error import YAMLError

from imageproof.base._naming import project_name
from imageproof.base.errors import BusyError, DataError, IntegrityError
from imageproof.base.files import md5, parse_yaml
from imageproof.dvc.params_yaml import PATH
from imageproof.system import _repository
from imageproof.system._repository import try_git

DATA = Path("data")
DATA_POINTER = Path("data.dvc")
OUTPUTS = Path("dvc.lock")
DVC_LOCK = Path(".dvc/tmp/lock")  # which a DVC process holds, also while it writes a dvc.lock
PROJECT_LOCK = Path(".dvc/tmp/flow.lock")  # which a flow or `run` holds while stages write here
ARTIFACTS = Path("artifacts")
UNREADABLE = (ValueError, LookupError, RecursionError, YAMLError)  # what a damaged YAML file raises
SETTLED_S = 10.0  # after the last write: DVC holds its lock for something else, such as `dvc push`
POLL_S = 0.1


class _File(BaseModel):
    path: Path = DATA
    md5: str
    size: int = 0
    desc: str = ""


class _Pointer(BaseModel):  # a .dvc file
    outs: Annotated[list[_File], Field(min_length=1)]
    meta: dict[str, Any] = {}

    @property
    def texts(self) -> dict[str, str]:
        """`desc` and what `meta` says in words; nothing of another file than `describes` names."""
        if self.meta.get("describes") != self.outs[0].md5:  # `dvc add` keeps the texts
            return {}
        texts = {"desc": self.outs[0].desc} | self.meta
        return {key: text for key, text in texts.items() if text and isinstance(text, str)}


class Recorded(BaseModel):
    """What dvc.lock records of a stage."""

    deps: list[_File] = []
    outs: list[_File] = []
    params: dict[str, dict[str, Any]] = {}

    @property
    def inputs(self) -> dict[Path, str]:
        """The md5 of each file and folder that it read."""
        return {dep.path: dep.md5 for dep in self.deps}

    @property
    def outputs(self) -> dict[Path, str]:
        """The md5 of each output."""
        return {out.path: out.md5 for out in self.outs}

    @property
    def values(self) -> dict[str, Any]:
        """Its params by dotted key."""
        return self.params.get(str(PATH), {})


class _Lock(BaseModel):
    stages: dict[str, Recorded] = {}


def data_md5(pointer_file: Path = DATA_POINTER) -> str:
    """The md5 of the raw data as data.dvc records it; empty if there is none."""
    pointer = _pointer(pointer_file)
    return pointer.outs[0].md5 if pointer else ""


def described_data(md5: str, commit: str) -> dict[str, str]:
    """`desc` and the texts of `meta` of this data, from data.dvc here, else at the commit."""
    for pointer in (_pointer(DATA_POINTER), _pointer(DATA_POINTER, commit)):
        if pointer and pointer.outs[0].md5 == md5 and pointer.texts:
            return pointer.texts
    return {}


def described_file(path: Path, commit: str) -> dict[str, str]:
    """`desc` and the texts of `meta` of a file that DVC tracks, at the commit, else here."""
    pointer_file = path.with_name(f"{path.name}.dvc")
    pointer = _pointer(pointer_file, commit) or _pointer(pointer_file)
    return pointer.texts if pointer else {}


def _pointer(file: Path, commit: str = "") -> _Pointer | None:
    with suppress(OSError, *UNREADABLE):
        text = at_commit(commit, file) if commit else file.read_text("utf-8")
        return _Pointer.model_validate(parse_yaml(text))
    return None


def recorded(stage: str, root: Path = Path()) -> Recorded:
    """What dvc.lock in `root` records of a stage; without any entry if it records nothing."""
    return _stages(root).get(stage, Recorded())


def recorded_outputs(root: Path = Path()) -> dict[Path, str]:
    """The md5 of every stage output, from dvc.lock in `root`; an IntegrityError if damaged."""
    return _all_outputs(_stages(root))


def is_committed(output: Path) -> bool:
    """Whether the current commit records this output, with the same md5 as dvc.lock here."""
    committed = _all_outputs(parse_lock(at_commit("HEAD", OUTPUTS) or "{}"))
    return committed.get(output, "") == recorded_outputs().get(output)


def committed_md5s(commit: str, paths: Sequence[Path]) -> dict[Path, str]:
    """The md5 of files and folders at a commit, as dvc.lock has it; without those it lacks."""
    md5s = {}
    for path in paths:
        contents = _repository.files_at(commit, path)
        digests = {file: hashlib.md5(content).hexdigest() for file, content in contents.items()}
        if digests:
            md5s[path] = digests.get(path) or folder_md5(path, digests)
    return md5s


def folder_md5(folder: Path, md5s: Mapping[Path, str]) -> str:
    """The md5 of a folder as DVC computes it, from those of its files."""
    names = {path.relative_to(folder).as_posix(): path for path in md5s if folder in path.parents}
    listing = [{"md5": md5s[names[name]], "relpath": name} for name in sorted(names)]
    return hashlib.md5(json.dumps(listing).encode()).hexdigest() + ".dir"


def recorded_size(output: Path, root: Path) -> int:
    """The bytes of a stage output, from dvc.lock in `root`; 0 if not recorded."""
    outs = [out for stage in _stages(root).values() for out in stage.outs]
    return next((out.size for out in outs if out.path == output), 0)


def _stages(root: Path) -> dict[str, Recorded]:
    path = root / OUTPUTS
    return parse_lock(read_lock(path)) if path.exists() else {}


def _all_outputs(stages: Mapping[str, Recorded]) -> dict[Path, str]:
    return {path: digest for stage in stages.values() for path, digest in stage.outputs.items()}


def read_lock(path: Path) -> str:
    """The text of a dvc.lock. DVC rewrites it piece by piece, also while other stages run."""
    while True:
        start = time.time()
        with _sharing(path.parent / DVC_LOCK) as is_free:
            text = path.read_text(encoding="utf-8", errors="replace")
        # a wrong clock may say far in the future
        if is_free or abs(start - path.stat().st_mtime) >= SETTLED_S:
            return text
        time.sleep(POLL_S)


@contextmanager
def _sharing(lock: Path) -> Iterator[bool]:
    """Whether DVC's lock is free; if it is, no process of DVC gets it within the block."""
    if not lock.exists():
        yield True
        return
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


@lru_cache(maxsize=2)  # the command `diff` reads two again and again; parsing takes 60 ms
def parse_lock(lock: str) -> dict[str, Recorded]:
    """What the text of a dvc.lock records, by stage; an IntegrityError if it is damaged."""
    try:
        return _Lock.model_validate(parse_yaml(lock)).stages
    except UNREADABLE:
        cure = f"`git checkout HEAD {OUTPUTS}` restores it"  # else git takes what DVC has staged
        raise IntegrityError(f"{OUTPUTS}: damaged; {cure}") from None


def check_outputs(paths: Iterable[Path], root: Path = Path()) -> None:
    """An IntegrityError if files in `root` differ from dvc.lock; skips missing and unknown ones."""
    outputs = recorded_outputs(root)
    present = [path for path in paths if path in outputs and (root / path).is_file()]
    cure = "`dvc checkout` brings it back, `dvc repro` makes it anew"
    findings = [
        f"{path}: md5 {digest[:12]}, dvc.lock records {outputs[path][:12]}; {cure}"
        for path in present
        if (digest := md5(root / path)) != outputs[path]
    ]
    if findings:
        raise IntegrityError(*findings)


@contextmanager
def settled(root: Path) -> Iterator[None]:
    """Raise an error about files as a BusyError, too, while a flow or `run` may be writing them."""
    try:
        yield
    except (DataError, IntegrityError) as error:
        with _sharing(root / PROJECT_LOCK) as is_free:
            if is_free:
                raise
        raise BusyError(*error.findings, working(root)) from None


def working(root: Path) -> str:
    """What the error says while another process holds the PROJECT_LOCK."""
    return (
        f"{root}: a flow or another `{project_name()} run` works in this folder; "
        "try again when it has ended"
    )


def at_commit(commit: str, path: Path) -> str:
    """The text of a file at a commit; empty if git has none."""
    return try_git("show", "--end-of-options", f"{commit}:./{path}")
