"""Every command of README.md and docs/ runs, in the order of reading, in one fresh clone."""

import json
import os
import re
import signal
import subprocess
from contextlib import chdir, closing, suppress

import pytest
import requests
from blocks import blocks, pages
from clones import Clone
from helpers import clone_without_history, free_port, until
from ruamel.yaml import YAML
from support import PARAMS, REPOSITORY, link_environment, write_params

from imageproof.dvc.params_yaml import get_by_path

NOT_RUN = "not run: "
RUN_BY = "run by "
# Commands that run until somebody ends them, and what names their port: a variable, or the command.
SERVERS = {
    "make ui": "MLFLOW_PORT",
    "make demo": "DEMO_PORT",
    "digits serve --port 5001": "5001",
    "cd champion && python -P -m imageproof.serve --port 8000": "8000",
    "cd champion && python -P -m imageproof.serve --port 8000 --log ../log": "8000",
}
# Commands that several pages have; they run where they are read first.
AGAIN = ("dvc exp", "digits promote", "digits results", "digits run", "dvc metrics", "make demo")
KEPT = {"max_latency_ms", "max_size_mb", "data_validated", "clean_commit"}
SMALL = {
    "data.percent": 2,
    "train.mlp.build.units": [64, 32, 16],
    "train.mlp.fit.epochs": 1,
    "train.compact.build.filters": [4, 4, 4, 4],
    "train.compact.fit.epochs": 1,
    # such a model is a bad one, and each is another one
    **{f"promote.{check}": None for check in {*PARAMS["promote"]} - KEPT},
}
PAGES = [blocks(path) for path in pages()]
BLOCKS = [block for page in PAGES for block in page]


class Session(Clone):
    """What a person does: a clone, its environment activated, and a server in another terminal."""

    def __init__(self, root, *models):
        self.ports = {name: free_port() for name in SERVERS.values()}
        self.done: set[str] = set()
        self.server: subprocess.Popen[bytes] | None = None
        clone_without_history(REPOSITORY, root)
        link_environment(root)
        ports = {name: str(port) for name, port in self.ports.items() if name.isidentifier()}
        super().__init__(root, BROWSER="true", **ports)  # a program that opens nothing
        self.environment["PATH"] = f"{root / '.venv/bin'}{os.pathsep}{os.environ['PATH']}"
        with chdir(root):
            write_params(SMALL | {"models": [*models]})
        self.bash("git commit --quiet --all --message small")

    def follow(self, block):
        """Run a block, or do with it what the comment before it says."""
        print(block.place)  # pytest shows it if a command fails
        verb, _, words = block.comment.partition(": ")
        if verb == "file":
            (self.root / words).write_text(block.text, "utf-8")
        elif verb == "params":
            self.add_params(words, block.text)
        elif block.language == "sh":
            lines = [line for line in block.text.strip().splitlines() if line not in self.done]
            self.done |= {line for line in lines if line.startswith(AGAIN)}
            server = lines.pop() if lines and lines[-1] in SERVERS else None
            self.bash(self.with_ports("\n".join(lines)))
            if server:
                self.serve(server)
        elif block.language == "python":
            self.bash(f"python - <<'END'\n{block.text}END")

    def with_ports(self, text):
        """A command with free ports in place of those that it names."""
        for port in filter(str.isdecimal, self.ports):
            text = text.replace(port, str(self.ports[port]))
        return text

    def bash(self, text):
        """Run commands to their end; the first that fails fails the test."""
        self.run("bash", "-euo", "pipefail", "-c", text)

    def serve(self, command):
        """Start a server and wait until it answers; the one before it ends."""
        self.close()
        port = self.ports[SERVERS[command]]
        log = self.root.parent / "server.log"
        with log.open("w") as output:
            self.server = subprocess.Popen(
                ["bash", "-c", self.with_ports(command)],
                cwd=self.root,
                env=self.environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        running = self.server
        assert until(lambda: answers(port) or running.poll() is not None, seconds=120), command
        assert running.poll() is None, f"{command}\n{log.read_text()}"

    def close(self):
        """Press Ctrl-C."""
        if self.server is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.server.pid, signal.SIGINT)
            self.server.wait(timeout=60)
            self.server = None

    def add_params(self, block, text):
        """Put a piece of YAML into a block of params.yaml, named by a dotted key."""
        yaml = YAML()
        path = self.root / "params.yaml"
        values = yaml.load(path)
        get_by_path(values, block).update(yaml.load(text))
        yaml.dump(values, path)


def answers(port):
    try:
        requests.get(f"http://127.0.0.1:{port}/", timeout=5)
    except requests.RequestException:
        return False
    return True


def check_all_ran(session):
    """DVC has nothing to do, and git sees what stages write."""
    assert json.loads(session.run("dvc", "status", "--json").stdout) == {}
    assert {*session.run("git", "diff", "--name-only").stdout.split()} == {
        "dvc.lock",
        "artifacts/compare/learning_curves.csv",
        "artifacts/compare/metrics.json",
        "artifacts/split/split.json",
    }


def test_every_block_has_a_language():
    languages = {"sh", "yaml", "json", "python", "text", "{toctree}", "{include}"}
    assert {block.language.partition(" ")[0] for block in BLOCKS} <= languages


def test_run_by_names_a_test():
    comments = [block.comment for block in BLOCKS if block.comment.startswith(RUN_BY)]
    names = [name for comment in comments for name in comment.removeprefix(RUN_BY).split(", ")]
    assert [name for name in names if not (REPOSITORY / name).is_file()] == []


def test_commands_name_models_that_a_new_project_has():
    commands = "\n".join(block.text for block in BLOCKS if block.language == "sh")
    named = re.findall(r"(?: promote |sweep\.py |model=|\btrain[.@])(mlp|cnn)", commands)
    assert named == []


def test_fresh_clone_shows_plots(tmp_path):
    clone_without_history(REPOSITORY, tmp_path)
    plots = json.loads(Clone(tmp_path).run("dvc", "plots", "show", "--json").stdout)["data"]
    assert [entry["type"] for [entry] in plots.values()].count("vega") == 2


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_every_command(tmp_path):
    session = Session(tmp_path / "digits", "mlp", "compact")
    with closing(session):
        for page in PAGES:
            for block in page:
                if not block.comment.startswith((NOT_RUN, RUN_BY)):
                    session.follow(block)
                if block.text.startswith("make run\n"):
                    check_all_ran(session)
            session.bash("git checkout --quiet params.yaml")  # else the next page trains all anew
