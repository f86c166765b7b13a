"""The results of a training as a branch of git's `origin`, with the text of its pull request.

Git's index and the files in the folder stay as they are: another run may need them. Nothing is
ever pushed by force.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import accumulate
from pathlib import Path

from imageproof.base.errors import ImageproofError, ServiceError, UsageError
from imageproof.base.files import scratch
from imageproof.base.text import first_names
from imageproof.diff._collect import collect_diff
from imageproof.diff._render import MOST_CHARACTERS, markdown
from imageproof.dvc import provenance, run_tags
from imageproof.dvc.params_yaml import PATH
from imageproof.system import _repository
from imageproof.system._repository import try_git

git = partial(_repository.git, Path())
BRANCHES = "retrain/"
KEPT = (provenance.OUTPUTS, PATH, provenance.ARTIFACTS)  # of these, what git keeps


def check_push() -> None:
    """An error if the results of a training in this folder could not be pushed; pushes nothing."""
    git("commit-tree", "HEAD^{tree}", text="may I commit?")
    if changed := run_tags.changed_code():
        names = first_names(changed)
        raise UsageError(f"push: {names} differ from the commit; commit them, or run without push")
    git("push", "--quiet", "--dry-run", "origin", f"HEAD:{_ref(f'{BRANCHES}may-i')}")


def publish() -> str:
    """Push dvc.lock, params.yaml and the results that git keeps; returns the branch's name.

    Empty if the commit has them. A branch of this commit that has them, were it of an earlier day,
    is not pushed again. The pictures that changed, which DVC keeps, get a branch of their own, and
    the text of the commit their addresses.
    """
    commit = git("rev-parse", "HEAD")
    tree = _tree(KEPT, "HEAD")
    if tree == git("rev-parse", "HEAD^{tree}"):
        return ""
    tips = _tips(f"*-{commit[:12]}")
    for branch, tip in tips.items():
        if git("rev-parse", f"{tip}^{{tree}}") == tree:
            return branch
    branch = f"{BRANCHES}{datetime.now(UTC):%Y-%m-%d}-{commit[:12]}"
    if branch in tips:
        finding = "has other results of this commit; merge or delete it, then run again"
        raise UsageError(f"origin: its branch {branch} {finding}")
    commits = {}
    text = _text()
    drawn = [path for path in provenance.recorded_outputs() if path.suffix == ".png"]
    if pictures := [path for path in drawn if not provenance.is_committed(path)]:
        album = f"{branch}-pictures"
        commits[album] = git("commit-tree", _tree(pictures), text=f"Pictures of {branch}")
        text += _pictures(pictures, album, MOST_CHARACTERS - len(text))
    commits[branch] = git("commit-tree", tree, "-p", "HEAD", text=f"{text}\n{_moved()}")
    _push(commits)
    return branch


def append(branch: str, text: str) -> str:
    """Push the text as one more commit of the branch, which changes no file; returns its name."""
    tip = _tips("*").get(branch)
    if not tip:
        raise UsageError(f"origin: its branch {branch} is gone, so nobody reads there: {text}")
    commit = git("commit-tree", f"{tip}^{{tree}}", "-p", tip, text=text)
    _push({branch: commit})
    return branch


def _text() -> str:
    title = f"Results of a training on data {provenance.data_md5()[:12]}"
    try:
        return f"{title}\n\n{markdown(collect_diff('HEAD', None))}"
    except ImageproofError as error:  # such as of a first training
        return f"{title}\n\n`diff` failed: {error}"


def _pictures(pictures: Sequence[Path], album: str, most: int) -> str:
    """The pictures in Markdown, as many as fit into `most` characters."""
    folder = f"../blob/{album}/{git('rev-parse', '--show-prefix')}"
    lines = [f"\n\n![{path}]({folder}{path}?raw=true)" for path in pictures]
    count = sum(size <= most for size in accumulate(map(len, lines)))
    if more := len(lines) - count:
        lines[count:] = [f"\n\n… and {more} more on the branch {album}"]
    return "".join(["\n\n### Pictures", *lines])


def _ref(branch: str) -> str:
    return f"refs/heads/{branch}"


def _tree(paths: Iterable[Path], start: str = "") -> str:
    """A tree of git's with these files, and those of the commit `start`."""
    with scratch() as folder:
        index = str(folder / "index")
        if start:
            git("read-tree", start, GIT_INDEX_FILE=index)
        ignored = () if start else ("--force",)
        git("add", "--all", *ignored, "--", *map(str, paths), GIT_INDEX_FILE=index)
        return git("write-tree", GIT_INDEX_FILE=index)


def _tips(pattern: str) -> dict[str, str]:
    """The last commits of those branches of `origin` whose names after BRANCHES match, by name."""
    fetched = f"refs/remotes/origin/{BRANCHES}"
    git("fetch", "--quiet", "--prune", "origin", f"+{_ref(BRANCHES)}*:{fetched}*")
    form = "--format=%(refname:lstrip=3) %(objectname)"
    lines = git("for-each-ref", form, f"{fetched}{pattern}").splitlines()
    return dict(line.split(" ") for line in lines)


def _moved() -> str:
    """A line if the default branch of `origin` has commits that this folder lacks."""
    newest = git("ls-remote", "origin", "HEAD").partition("\t")[0]
    if not newest or not try_git("merge-base", "--is-ancestor", newest, "HEAD", failed="newer"):
        return ""
    cure = "merge it into this branch, then `dvc repro --pull` and `dvc push`"
    return f"\nThe default branch has moved on to {newest[:12]} meanwhile: {cure}.\n"


def _push(commits: dict[str, str]) -> None:
    """Push new commits of branches; if that fails, they are branches of this folder."""
    for branch, commit in commits.items():
        git("update-ref", _ref(branch), commit)
    refs = [f"{commit}:{_ref(branch)}" for branch, commit in commits.items()]
    try:
        git("push", "--quiet", "--atomic", "origin", *refs)
    except ServiceError as error:
        names = " ".join(commits)
        raise ServiceError(f"{error}; nothing is lost: `git push origin {names}`") from None
