"""``spyderresp run``: the service loop. What it is made of is loaded when it runs: other verbs need none of it."""

from __future__ import annotations

import argparse
from typing import Any, Final, get_args

from spyderresp.cli.terminal import CommandError, Streams
from spyderresp.decision.compiler import Defaults, NotIn
from spyderresp.events.formats import BUILT_IN

_EPILOG: Final = """\
examples:
  spyderresp run --policies policies/ --events events.jsonl
  spyderresp run --policies policies/ --events /var/log/falco.jsonl --follow

with no executor named, flags go to standard output and agent actions are dry-run; what became of every
step, and every bad event, is told on standard error

exit codes: 0 fine, or ended by SIGTERM; 1 some events are bad, all others are decided; 2 a policy cannot be
read; 3 wrong usage or configuration, or input or output fails"""


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "run",
        help="read events, decide, and carry out",
        description="read events, decide each, carry out what is to be done, and say what became of it",
        epilog=_EPILOG,
    )
    _add_options(parser)
    parser.add_argument("--log", choices=("text", "json", "quiet"), default="text", help="default: text")
    parser.add_argument("--check", action="store_true", help="check configuration and policies, and do nothing")


def _add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options. None of them has a default: what is not given is what the configuration says."""
    add = parser.add_argument
    add("--config", metavar="FILE", help="a configuration; options given beside it win")
    add("--policies", action="append", metavar="PATH", help="a policy file or directory; may be repeated")
    add(
        "--events",
        action="append",
        metavar="SOURCE",
        help="a file, - (standard input, the default), unix:PATH, tcp:ADDRESS, http:ADDRESS, "
        "kafka:HOST:PORT/TOPIC or nats:HOST:PORT/STREAM; may be repeated",
    )
    add("--follow", action="store_true", help="stay at the end of files and wait for more")
    add("--executor", action="append", metavar="NAME", help="what carries actions out; may be repeated")
    add(
        "--set",
        action="append",
        metavar="NAME.KEY=VALUE",
        help="a setting of an executor, such as local-host.machine=node-7; may be repeated",
    )
    add("--journal", metavar="PATH", help="where steps are written before they are tried, and after")
    add("--positions", metavar="PATH", help="where the positions of followed files are kept (default: by the journal)")
    add("--kill-switch", metavar="PATH", help="while this file exists no agent action is taken")
    add("--token-file", metavar="PATH", help="what senders over HTTP and TCP must show, in a file")
    add("--token-env", metavar="NAME", help="the same, in a variable of the environment")
    add("--tls-certificate", metavar="PATH", help="for HTTP and TCP: the certificate chain, PEM")
    add("--tls-key", metavar="PATH", help="and its key")
    add("--tls-clients", metavar="PATH", help="and the authorities of clients, who must have a certificate then")
    add(
        "--plain",
        action="store_true",
        help="let tokens and events cross networks in the clear: something else encrypts",
    )
    add("--group", metavar="NAME", help="for brokers: the consumer group, or durable consumer (default: spyderresp)")
    add("--dead-letters", metavar="NAME", help="for brokers: where what cannot be decided goes")
    add("--uid", action="append", metavar="NUMBER", help="a user who may send over Unix sockets; may be repeated")
    add("--monitor", metavar="ADDRESS", help="where to answer about health and metrics")
    add("--strict", action="store_true", help="make each lenient repair an error")
    add("--defaults", choices=get_args(Defaults), help="when default actions are taken")
    add("--not-in", choices=get_args(NotIn), help="whether NotIn holds where the key is absent")
    add("--mode", choices=("audit",), help="treat every policy as one in audit mode")
    add("--form", choices=BUILT_IN.names, help="the shape of the records; recognised one by one where not given")


def run(args: argparse.Namespace, streams: Streams) -> int:
    """Run the verb and return its exit code."""
    # The service takes long to import, and `spyderresp run --help` does not need it.
    try:
        import pydantic  # noqa: F401 - the models of the configuration are made of it
    except ImportError:
        message = "`spyderresp run` needs the extra `service`: pip install 'spyderresp[service]'"
        raise CommandError(message) from None
    from spyderresp.cli import run_service

    return run_service.run(args, streams)
