"""YAML text to trees, built from the event stream: libyaml's own composer recurses and can crash the interpreter.

The only importer of yaml. Scalars are the text their author typed: YAML 1.1's typing of plain words is not applied.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import yaml
from yaml import events

from spyderresp.policies._document import Texts, Tree, YamlBuilder
from spyderresp.policies.document_limits import MAX_ALIASED, MAX_NODES, DocumentError

# Without libyaml PyYAML's own parser gives the same events, some twenty times slower, and lets lone surrogates through.
LIBYAML: Final[bool] = yaml.__with_libyaml__
Loader: Final = yaml.CSafeLoader if LIBYAML else yaml.SafeLoader

_QUOTE_HELP: Final = "quote a value that begins with a special character, a glob above all: `'*.sh'`"


def read_yaml(text: str, texts: Texts | None = None) -> Iterator[Tree]:
    """Yield each document of a YAML text. ``texts`` are the texts of the load.

    Raises:
        DocumentError: the text is not YAML, or passes a limit. Documents before the fault have been yielded.
    """
    loader = Loader(text)
    try:
        builder = YamlBuilder(
            loader.get_event, events, text, texts, checked=LIBYAML, max_nodes=MAX_NODES, max_aliased=MAX_ALIASED
        )
        while (tree := builder.document()) is not None:
            yield tree
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(text, error) from None
    except yaml.reader.ReaderError as error:
        raise _reader_error(text, error) from None
    finally:
        loader.dispose()


def _syntax_error(text: str, error: yaml.MarkedYAMLError) -> DocumentError:
    mark = error.problem_mark or error.context_mark
    start = min(mark.index, len(text)) if mark is not None else None
    context = f"{error.context}: " if error.context else ""
    problem = error.problem or "unreadable"
    line_start = text.rfind("\n", 0, start or 0) + 1
    if start is not None and "\t" in text[line_start : start + 1] and not text[line_start:start].strip():
        return DocumentError("SR008", "a tab is used as indentation", start, help="indent with spaces")
    if error.context == "while scanning an alias":
        # Where the `*` is, not what follows it.
        start = min(error.context_mark.index, len(text)) if error.context_mark is not None else start
        return DocumentError("SR013", "`*` begins an alias here, and no name follows", start, help=_QUOTE_HELP)
    special = start is not None and text[start : start + 1] in tuple("*?&!%@`[]{}|>'\",")
    return DocumentError("SR007", f"not valid YAML: {context}{problem}", start, help=_QUOTE_HELP if special else "")


def _reader_error(text: str, error: Any) -> DocumentError:
    # libyaml counts bytes here and the pure reader characters; the character itself is found in the text instead.
    character = error.character if isinstance(error.character, int) else ord(error.character)
    start = text.find(chr(character)) if character < 0x110000 else -1
    return DocumentError(
        "SR006",
        f"character U+{character:04X} may not stand in a YAML text: this looks like binary data",
        start if start >= 0 else None,
        help="escape it inside double quotes if it is meant",
    )
