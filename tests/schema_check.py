"""Documents as an editor sees them, and the schema's verdict on them."""

from __future__ import annotations

import re
from typing import Any

import jsonschema
import yaml

from spyderresp.json_schema import policy_schema

VALIDATOR = jsonschema.Draft7Validator(policy_schema())
#: Codes that say what is gone, or is not there yet, once a text is parsed: see EXCEPTIONS in spyderresp/json_schema.py.
UNSEEN = re.compile("SR0..|SR124")


class Core(yaml.SafeLoader):
    """YAML 1.2's core schema, as editors' language servers read it."""


Core.yaml_implicit_resolvers = {}
for tag, pattern, first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
):
    Core.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(f"^(?:{pattern})$"), first)
Core.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile("^<<$"), ["<"])
Core.add_constructor(
    "tag:yaml.org,2002:int", lambda _, node: int(node.value.removeprefix("+"), 0 if "x" in node.value else 10)
)


def valid(document: Any) -> bool:
    return VALIDATOR.is_valid(document)


def parse(text: str) -> list[Any]:
    """Return the documents of a text, null ones apart."""
    return [document for document in yaml.load_all(text, Loader=Core) if document is not None]
