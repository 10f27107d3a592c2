"""Documents as an editor sees them, and the schema's verdict on them."""

from __future__ import annotations

import re
from typing import Any

import jsonschema
import yaml

import spyderresp
from spyderresp.policies.json_schema import EXCEPTIONS, policy_schema

VALIDATOR = jsonschema.Draft7Validator(policy_schema())
#: Codes of what the schema cannot see.
UNSEEN = frozenset(code for exception in EXCEPTIONS for code in exception.codes)


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
    "tag:yaml.org,2002:int",
    lambda _, node: int(node.value.removeprefix("+"), 0 if node.value[:2] in ("0x", "0o") else 10),
)


def parse(text: str) -> list[Any]:
    """Return the documents of a text, null ones apart."""
    return [document for document in yaml.load_all(text, Loader=Core) if document is not None]


def agree(text: str) -> bool:
    """Assert that the schema and strict reading agree on a text; False where strict reading sees more."""
    try:
        spyderresp.loads(text, strict=True)
    except spyderresp.PolicyError as error:
        codes = {item.code for item in error.errors}
    else:
        codes = set()
    unseen = codes & UNSEEN
    if unseen and (unseen == codes or not unseen <= {"SR003", "SR124"}):
        # Nothing else is wrong; or the text was not read to its end.
        return False
    faults = [fault.message for document in parse(text) for fault in VALIDATOR.iter_errors(document)]
    assert bool(faults) == bool(codes), (text, sorted(codes), faults)
    return True
