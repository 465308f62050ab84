"""YAML, as far as a stack.yml needs it: tables, lists and text.

Read by PyYAML's safe loader, which makes nothing but data. A scalar stays the text that was
written: ``8080`` and ``true`` are what an environment variable is to be. What anchors and aliases
unfold to is bounded, and counted before it is made.

Imported where a YAML file is read, and nowhere else: nobody else waits for PyYAML.
"""

from __future__ import annotations

from typing import Any

import yaml

from faasd_async.errors import ConfigurationError

#: A longer file is no stack.yml.
LONGEST_BYTES = 256 * 1024

#: How many values there may be, and how deep, with every alias unfolded.
_MOST_NODES = 50_000
_DEEPEST = 20

_NULL = "tag:yaml.org,2002:null"

#: What is no text to YAML, and is to us.
_TEXT = ("bool", "int", "float", "timestamp", "binary")


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """The safe loader, but that scalars stay text."""


for _each in _TEXT:
    _Loader.add_constructor(f"tag:yaml.org,2002:{_each}", yaml.SafeLoader.construct_yaml_str)


def read_yaml(text: str, path: str) -> Any:
    """The document: tables, lists, text, and ``None`` where nothing stands.

    :param path: for messages.
    :raises ConfigurationError: it is none; the text says where.
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        _Count(path).look(node)
        return None if node is None else loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = f"{path}, line {mark.line + 1}" if mark else path
        raise ConfigurationError(f"{at}: not YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise ConfigurationError(f"{path}: not YAML: nested too deeply") from None
    except ValueError as error:  # a tag that its text does not suit
        raise ConfigurationError(f"{path}: not YAML: {error}") from None


class _Count:
    """How much a document is, before it is made."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._nodes = 0

    def look(self, node: Any, depth: int = 0) -> None:
        """
        :raises ConfigurationError: it is too much, or a key stands in a table twice.
        """
        self._nodes += 1
        if self._nodes > _MOST_NODES or depth > _DEEPEST:
            raise ConfigurationError(f"{self._path}: there is too much in it, aliases unfolded")
        if isinstance(node, yaml.SequenceNode):
            for each in node.value:
                self.look(each, depth + 1)
        elif isinstance(node, yaml.MappingNode):
            self._look_at_keys(node)
            for key, value in node.value:
                self.look(key, depth + 1)
                self.look(value, depth + 1)

    def _look_at_keys(self, node: Any) -> None:
        seen = set()
        for key, _ in node.value:
            text = key.value if isinstance(key, yaml.ScalarNode) and key.value else None
            if key.tag == _NULL:
                text = None
            if text is None or text in seen:
                what = "a key that is no text" if text is None else f"{text!r} for the second time"
                line = key.start_mark.line + 1
                raise ConfigurationError(f"{self._path}, line {line}: found {what}")
            seen.add(text)
