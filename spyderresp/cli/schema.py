"""``spyderresp schema``: prints the JSON Schema of policies, for editors."""

from __future__ import annotations

import argparse
import json
from typing import Any, Final

from spyderresp.cli.terminal import Streams
from spyderresp.policies.json_schema import policy_schema

_EPILOG: Final = """\
examples:
  spyderresp schema > spyderbat-policy.schema.json"""


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    verbs.add_parser(
        "schema",
        help="print the JSON Schema for editors",
        description="print the JSON Schema of policies, with which an editor completes and checks them",
        epilog=_EPILOG,
    )


def run(_: argparse.Namespace, streams: Streams) -> int:
    """Run the verb and return its exit code."""
    streams.write(json.dumps(policy_schema(), indent=2))
    return 0
