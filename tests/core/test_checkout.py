"""The project's code at a commit, in a folder of a machine that has nothing else."""

import base64
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from support import finding

from digits.core import checkout, repository
from digits.core.checkout import check_out, python_for
from digits.core.errors import ServiceError, UsageError


def git(folder: Path, *arguments: str) -> str:
    author = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    command = ["git", *author, *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def commit(project: Path, text: str) -> str:
    (project / "code.txt").write_text(text)
    git(project, "add", ".")
    git(project, "commit", "--quiet", "-m", text)
    return git(project, "rev-parse", "HEAD").strip()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose remote is a bare repository, beside the empty home of a worker."""
    project = tmp_path / "project"
    project.mkdir()
    git(project, "init", "--quiet", "-b", "main")
    (project / ".dvc").mkdir()
    (project / ".dvc/config").touch()
    commit(project, "one")
    git(tmp_path, "clone", "--quiet", "--bare", "project", "origin.git")
    git(project, "remote", "add", "origin", f"file://{tmp_path}/origin.git")
    monkeypatch.setenv("DIGITS_HOME", str(tmp_path / "worker"))
    return project


@pytest.fixture
def origin(project: Path) -> str:
    return git(project, "remote", "get-url", "origin").strip()


def push(project: Path, text: str) -> str:
    made = commit(project, text)
    git(project, "push", "--quiet", "origin", "main")
    return made


def test_each_commit_has_a_folder_and_is_fetched_once(project: Path, origin: str) -> None:
    commits = [push(project, "two"), push(project, "three")]
    with ThreadPoolExecutor(4) as pool:
        folders = list(pool.map(partial(check_out, address=origin), commits * 4))
    assert [(folder / "code.txt").read_text() for folder in folders] == ["two", "three"] * 4
    assert len({*folders}) == 2
    assert git(folders[0], "remote", "get-url", "origin").strip() == origin
    assert check_out(commits[0], "file:///is/gone") == folders[0]


def test_commits_of_one_machine_share_a_dvc_cache(project: Path, origin: str) -> None:
    from dvc.repo import Repo

    caches = set()
    for text in ("two", "three"):
        with Repo(str(check_out(push(project, text), origin))) as repo:
            caches.add(repo.cache.local_cache_dir)
    assert caches == {str(checkout.home() / ".state/code/cache")}


@pytest.mark.parametrize("shared", [False, True])
def test_only_its_user_reads_the_settings_of_a_commit(
    project: Path, origin: str, *, shared: bool
) -> None:
    if shared:
        git(checkout.home().parent, "clone", "--quiet", origin, str(checkout.home()))
        (checkout.home() / ".dvc/config.local").write_text("[core]\nremote = mine\n")
    local = check_out(push(project, "two"), origin) / ".dvc/config.local"
    assert ("mine" in local.read_text()) == shared
    assert local.stat().st_mode & 0o777 == 0o600


def test_a_commit_that_was_not_pushed_is_named(project: Path, origin: str) -> None:
    hidden = commit(project, "hidden")
    told = finding(UsageError, lambda: check_out(hidden, origin))
    assert told == f"commit {hidden}: {origin} does not have it; `git push` brings it there"
    push(project, "now")
    assert (check_out(hidden, origin) / "code.txt").read_text() == "hidden"


def test_a_name_is_that_of_one_branch_or_tag_not_the_end_of_anothers(
    project: Path, origin: str
) -> None:
    main = git(project, "rev-parse", "HEAD").strip()
    commit(project, "hostile")
    git(project, "push", "--quiet", "origin", "HEAD:refs/heads/x/refs/heads/main")
    assert repository.find_commit("main", origin) == main
    tagged = commit(project, "tagged")
    git(project, "tag", "-m", "annotated", "v1")
    git(project, "push", "--quiet", "origin", "v1")
    assert repository.find_commit("v1", origin) == tagged


def test_a_repository_that_does_not_answer_is_named(project: Path) -> None:
    made = commit(project, "two")
    with pytest.raises(ServiceError, match=r"git fetch: .*/nowhere"):
        check_out(made, "file:///nowhere")


class Guarded(SimpleHTTPRequestHandler):
    """Serves files to those who know the password."""

    def do_GET(self) -> None:
        logins = [base64.b64encode(login).decode() for login in (b"me:hunter2:3", b"token:")]
        if self.headers["Authorization"] in [f"Basic {login}" for login in logins]:
            super().do_GET()
        else:
            self.send_response(401)
            self.send_header("WWW-Authenticate", "Basic")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def guarded(project: Path, tmp_path: Path) -> Iterator[str]:
    """The address of an HTTP server of the repository, without its password."""
    push(project, "two")
    git(tmp_path / "origin.git", "update-server-info")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Guarded, directory=str(tmp_path)))
    Thread(target=server.serve_forever).start()
    yield f"127.0.0.1:{server.server_port}/origin.git"
    server.shutdown()
    server.server_close()


def test_a_password_in_the_address_is_used_and_not_kept(project: Path, guarded: str) -> None:
    head = git(project, "rev-parse", "HEAD").strip()
    folder = check_out(head, f"http://me:hunter2%3A3@{guarded}")
    assert git(folder, "remote", "get-url", "origin").strip() == f"http://{guarded}"
    kept = [path for path in checkout.home().rglob("*") if path.is_file()]
    assert not [path for path in kept if b"hunter2" in path.read_bytes()]
    refused = partial(check_out, "0" * 40, f"http://me:hunter3@{guarded}")
    assert "hunter3" not in finding(ServiceError, refused)


def test_a_user_without_password_has_that_of_gits_helper_and_a_token_none(
    project: Path, guarded: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / "gitconfig"
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    settings.touch()
    head = git(project, "rev-parse", "HEAD").strip()
    assert repository.find_commit("main", f"http://token@{guarded}") == head
    settings.write_text('[credential]\nhelper = "!f() { echo password=hunter2:3; }; f"\n')
    assert repository.find_commit("main", f"http://me@{guarded}") == head


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://me:secret@git.example/me.git", "https://git.example/me.git"),
        ("https://token@git.example/me.git", "https://git.example/me.git"),
        ("ssh://git:secret@git.example/me.git", "ssh://git@git.example/me.git"),
        *[(same, same) for same in ("git@git.example:me.git", "/srv/me.git", "file:///srv/me")],
    ],
)
def test_an_address_is_shown_without_what_is_secret(address: str, shown: str) -> None:
    assert repository.shown(address) == shown


def test_packages_as_pinned_need_no_environment_of_their_own(project: Path, origin: str) -> None:
    (project / "pyproject.toml").write_text('[project]\ndependencies = ["pytest"]\n')
    pinned = f"pytest=={pytest.__version__}\nnot-installed==1.0\n"
    (project / "requirements.lock").write_text(pinned)
    assert python_for(check_out(push(project, "two"), origin)) == Path(sys.executable)


def test_an_environment_whose_copy_was_begun_is_made_by_the_next_call(
    project: Path, origin: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "pyproject.toml").write_text('[project]\ndependencies = ["pytest"]\n')
    (project / "requirements.lock").write_text("pytest==0.1\n")
    (project / "environment.sh").write_text("")
    (project / ".gitattributes").write_text("*.txt filter=failing\n")
    folder = check_out(push(project, "two"), origin)
    settings = tmp_path / "gitconfig"
    settings.write_text('[filter "failing"]\nsmudge = false\nrequired = true\n')
    with monkeypatch.context() as patch:
        patch.setenv("GIT_CONFIG_GLOBAL", str(settings))
        with pytest.raises(ServiceError, match="git checkout"):
            python_for(folder)
    assert python_for(folder).name == "python"


def test_other_packages_get_an_environment_once_for_each_lock(
    project: Path, origin: str, tmp_path: Path
) -> None:
    (project / "pyproject.toml").write_text('[project]\ndependencies = ["pytest"]\n')
    (project / "requirements.lock").write_text("pytest==0.1\n")
    script = f"pwd >>{tmp_path}/made\n[ $(wc -l <{tmp_path}/made) -lt 3 ]"
    (project / "environment.sh").write_text(script)
    one, two = (python_for(check_out(push(project, text), origin)) for text in ("a", "b"))
    assert one == two
    assert len({*(tmp_path / "made").read_text().split()}) == 1
    with pytest.raises(ServiceError, match="environment of commit"):
        python_for(check_out(push(project, "c"), origin))
