"""Who imports whom in src/, flows/ and benchmarks/, read from the source without running it."""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

from support import REPOSITORY

SOURCE = REPOSITORY / "src"


def _files(root: Path, package: str) -> dict[str, Path]:
    """Each module of the package below `root`, with its file."""
    paths = sorted((root / package).rglob("*.py"))
    names = [".".join(path.relative_to(root).with_suffix("").parts) for path in paths]
    return {name.removesuffix(".__init__"): path for name, path in zip(names, paths, strict=True)}


FILES = _files(SOURCE, "digits")
# What uses the package, and is used by none of its modules.
AROUND = _files(REPOSITORY, "flows") | _files(REPOSITORY, "benchmarks")
OURS = ("digits", "flows", "benchmarks")


def path_of(module: str) -> str:
    """The module's file, from the repository's root."""
    return str(FILES[module].relative_to(REPOSITORY))


def imports(module: str, *, in_functions: bool = True) -> set[str]:
    """Modules that this one imports, `TYPE_CHECKING` aside: of ours all, of others the top."""
    tree = ast.parse((FILES | AROUND)[module].read_text("utf-8"))
    found = {name for node in _nodes(tree, in_functions) for name in _imported(node)}
    ours = {name for name in found if within(name, OURS)}
    # the top packages hold nothing
    return {name.partition(".")[0] for name in found - ours} | ours - {*OURS}


def reachable(
    start: str, *, not_through: Iterable[str] = (), in_functions: bool = True
) -> set[str]:
    """Modules that are imported sooner or later; those in `not_through` are ends."""
    found: set[str] = set()
    waiting = {start}
    while waiting:
        module = waiting.pop()
        found.add(module)
        if module in FILES and not within(module, not_through):
            waiting |= imports(module, in_functions=in_functions) - found
    return found - {start}


def within(module: str, packages: Iterable[str]) -> bool:
    """Whether the module is one of these or lies in one."""
    return any(module == name or module.startswith(f"{name}.") for name in packages)


def _nodes(tree: ast.AST, in_functions: bool) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.FunctionDef) and not in_functions:
            continue
        yield node
        yield from _nodes(node, in_functions)


def _imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield node.module
        for alias in node.names:
            submodule = f"{node.module}.{alias.name}"
            if submodule in FILES | AROUND:
                yield submodule
