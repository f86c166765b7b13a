"""The name of the project that this library works for: of its command, tags, variables."""

import os
import tomllib
from functools import lru_cache
from pathlib import Path

VARIABLE = "IMAGEPROOF_NAME"  # a value that is set wins
DEFAULT = "imageproof"


def project_name() -> str:
    """`name` in the table `[tool.imageproof]` of the project's pyproject.toml, else `imageproof`.

    The project's folder is the current one, or DVC's, as an experiment may run in a copy.
    """
    folder = Path(os.environ.get("DVC_ROOT", ".")).resolve()
    return os.environ.get(VARIABLE) or _name_in(folder / "pyproject.toml")


def variable(name: str) -> str:
    """An environment variable of the project, such as `SHOES_DEBUG` of the project `shoes`."""
    return f"{project_name().upper()}_{name}"


def adapt_hint() -> str:
    """The end of an error that params.yaml causes as it does not fit the data."""
    return f"`{project_name()} adapt` says what fits"


@lru_cache(maxsize=8)
def _name_in(path: Path) -> str:
    if not path.is_file():
        return DEFAULT
    tools = tomllib.loads(path.read_text("utf-8")).get("tool", {})
    return str(tools.get("imageproof", {}).get("name", DEFAULT))
