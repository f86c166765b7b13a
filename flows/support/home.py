"""Push results to the remotes of git and DVC: experiments, and what `retrain` trained."""

import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from dvc.repo import Repo
from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from digits import params
from digits.core import checkout, provenance, repository
from digits.core.errors import ServiceError, UsageError
from digits.core.repository import git
from flows.support.commands import RETRIES_AFTER_S, Dvc, may_pass


def goes_home(root: Path) -> bool:
    """Whether others can fetch results: there is a remote `origin`, and DVC's remote is shared."""
    if not repository.origin(root):
        return False
    with Repo(str(root)) as repo:
        name = repo.config["core"].get("remote")
        address = Path(str(repo.config["remote"].get(name, {}).get("url", root)))
    shared = not any(map(address.is_relative_to, (root.resolve(), checkout.home())))
    if not shared:
        get_run_logger().info("results stay here: others cannot reach DVC's remote %s", name)
    return shared


@task(
    task_run_name="push experiment",
    cache_policy=NO_CACHE,
    retries=len(RETRIES_AFTER_S),
    retry_condition_fn=may_pass,
)
def push_ref(ref: str, dvc: Dvc, root: Path) -> State[None]:
    """Push the git ref of an experiment to `origin`; its outputs are in DVC's remote already."""
    dvc.wait_for_retry()
    try:
        repository.push(root, f"{ref}:{ref}")
    except ServiceError as error:
        name = ref.rpartition("/")[2]
        later = f"the experiment is here; later `dvc exp push origin {name}` brings it there"
        return Failed(message=f"{error}; {later}", data=error.exit_code)
    return Completed()


def push_retrained(root: Path, data_md5: str) -> str:
    """Push a commit of the results in `root`, on the commit there, as a branch of its own.

    It holds dvc.lock, params.yaml and the outputs that git keeps. The index, branches and files
    of `root` stay as they are. The same results give the same branch.

    Returns:
        The branch, which may have been there; empty if the commit in `root` has these results, or
        if no commit could have them because code is not committed.

    Raises:
        ServiceError: git failed.
    """
    logger = get_run_logger()
    if str(provenance.code_version()).endswith("-dirty"):
        logger.warning("results are not committed: the code that made them is in no commit")
        return ""
    with TemporaryDirectory() as folder:
        tree = _tree_with_results(root, {**os.environ, "GIT_INDEX_FILE": f"{folder}/index"})
    if tree == git(root, "rev-parse", "HEAD^{tree}"):
        return ""
    branch = f"retrain/{data_md5[:8]}-{tree[:8]}"
    try:
        repository.find_commit(branch, git(root, "remote", "get-url", "origin"))
    except UsageError:
        message = f"Retrain on data {data_md5[:8]}"
        commit = git(root, *_identity(root), "commit-tree", tree, "-p", "HEAD", "-m", message)
        repository.push(root, f"{commit}:refs/heads/{branch}")
    logger.info("results are on branch %s of %s", branch, repository.origin(root))
    return branch


def _tree_with_results(root: Path, env: Mapping[str, str]) -> str:
    results = (provenance.OUTPUTS, params.PATH, provenance.ARTIFACTS)
    git(root, "read-tree", "HEAD", env=env)
    git(root, "add", "--", *(str(path) for path in results if (root / path).exists()), env=env)
    return git(root, "write-tree", env=env)


def _identity(root: Path) -> tuple[str, ...]:
    """Options for git where nobody has told it who commits."""
    try:
        git(root, "config", "user.email")
    except ServiceError:
        name = params.project().name
        return "-c", f"user.name={name}", "-c", f"user.email={name}@localhost"
    return ()
