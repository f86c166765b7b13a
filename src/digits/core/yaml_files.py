"""YAML of persons and of DVC, parsed within limits: a few lines can stand for a billion values."""

from itertools import chain
from math import inf
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer, ComposerError, MaxDepthExceededError
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode

from digits.core.errors import UsageError, one_line

# Limits for YAML that a person writes; params.yaml has 300 values.
MAX_YAML_BYTES = 100_000
MAX_YAML_DEPTH = 50
MAX_YAML_VALUES = 5000
MAX_YAML_TEXT = 1000  # characters of one value
MAX_RECORDED_VALUES = 200_000  # of dvc.lock, which DVC writes: 400 for each model


def read_yaml(path: Path) -> Any:
    """Read a YAML file that a person wrote, as plain values.

    It is parsed as DVC parses it (YAML 1.2: `1e-05` is a number, a repeated key is an error),
    so that the values we check are the values that DVC hashes.

    Raises:
        UsageError: it is not YAML, or it exceeds one of the MAX_YAML limits.
        OSError: it cannot be read.
    """
    if path.exists() and not path.is_file():
        raise UsageError(f"{path}: is no regular file")
    with path.open("rb") as file:
        content = file.read(MAX_YAML_BYTES + 1)
    if len(content) > MAX_YAML_BYTES:
        raise UsageError(f"{path}: over {MAX_YAML_BYTES:,} bytes long; at most that is allowed")
    try:
        return _load_limited(content.decode("utf-8"), _LimitedComposer)
    except MaxDepthExceededError:
        raise UsageError(
            f"{path}: nested deeper than the {MAX_YAML_DEPTH} levels allowed"
        ) from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise UsageError(f"{path}:{line}: not YAML: {error.problem or error.context}") from None
    except Exception as error:  # the constructor of each value type raises its own errors
        raise UsageError(f"{path}: not YAML: {one_line(error, width=300)}") from None


def parse_recorded_yaml(text: str) -> Any:
    """Parse YAML that DVC wrote, as plain values.

    Raises:
        YAMLError, ValueError: it is not YAML, or exceeds MAX_RECORDED_VALUES or MAX_YAML_DEPTH.
    """
    return _load_limited(text, _RecordedComposer)


def _load_limited(text: str, composer: type[Composer]) -> Any:
    yaml = YAML(typ="safe")
    yaml.Composer, yaml.max_depth = composer, MAX_YAML_DEPTH
    return yaml.load(text)


class _LimitedComposer(Composer):
    """Refuse YAML with too many or too long values before any value is built.

    A few nested aliases can stand for billions of values.
    """

    most_values, most_text = MAX_YAML_VALUES, float(MAX_YAML_TEXT)

    def __init__(self, loader: Any = None) -> None:
        super().__init__(loader)
        self.warn_double_anchors = False

    def get_single_node(self) -> Any:
        """The whole document."""
        node = super().get_single_node()
        if node is not None and _count_values(node, {}, self.most_text) > self.most_values:
            problem = f"over {self.most_values:,} values, counting what each alias stands for"
            raise ComposerError(None, None, problem, node.start_mark)
        return node


class _RecordedComposer(_LimitedComposer):
    most_values, most_text = MAX_RECORDED_VALUES, inf


def _count_values(node: Node, counts: dict[int, float], most_text: float) -> float:
    """The number of values in a node; infinite if it contains itself."""
    if isinstance(node, ScalarNode):
        if (length := len(node.value)) > most_text:
            problem = f"a value of {length:,} characters; at most {most_text:,.0f} are allowed"
            raise ComposerError(None, None, problem, node.start_mark)
        return 1
    if id(node) not in counts:
        counts[id(node)] = inf
        children = chain(*node.value) if isinstance(node, MappingNode) else node.value
        counts[id(node)] = 1 + sum(_count_values(child, counts, most_text) for child in children)
    return counts[id(node)]
