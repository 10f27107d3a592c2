"""``spyderresp run``: the service loop. The service is imported when it runs: other verbs do not need it."""

from __future__ import annotations

import argparse
from typing import Any, Final

from spyderresp.cli.options import add_deciding_options
from spyderresp.cli.terminal import CommandError, Streams

_EPILOG: Final = """\
examples:
  spyderresp run --policies policies/ --events events.jsonl
  spyderresp run --policies policies/ --events /var/log/falco.jsonl --follow

without --executor, flags go to standard output and agent actions are dry-run; the outcome of every step and
every bad event are logged on standard error

exit codes: 0 fine, or stopped by SIGTERM; 1 some events are bad, all others are decided; 2 a policy cannot be
read; 3 wrong usage or configuration, or input or output fails"""


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "run",
        help="read events, decide, and carry out",
        description="read events, decide each of them, carry out the planned actions, and log the outcomes",
        epilog=_EPILOG,
    )
    _add_options(parser)
    parser.add_argument("--log", choices=("text", "json", "quiet"), default="text", help="default: text")
    parser.add_argument("--check", action="store_true", help="check the configuration and the policies, and exit")


def _add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options. None has a default: for an option that is not given, the configuration decides."""
    add = parser.add_argument
    add("--config", metavar="FILE", help="the configuration; options override it")
    add("--policies", action="append", metavar="PATH", help="a policy file or directory; may be repeated")
    add(
        "--events",
        action="append",
        metavar="SOURCE",
        help="a file, - (standard input, the default), unix:PATH, tcp:ADDRESS, http:ADDRESS, "
        "kafka:HOST:PORT/TOPIC or nats:HOST:PORT/STREAM; may be repeated",
    )
    add("--follow", action="store_true", help="wait for more at the end of files")
    add("--executor", action="append", metavar="NAME", help="an executor, which carries out actions; may be repeated")
    add(
        "--set",
        action="append",
        metavar="NAME.KEY=VALUE",
        help="a setting of an executor, such as local-host.machine=node-7; may be repeated",
    )
    add("--journal", metavar="PATH", help="the file that records each step before and after it is carried out")
    add(
        "--positions",
        metavar="PATH",
        help="the file that keeps the positions of followed files (default: beside the journal)",
    )
    add("--kill-switch", metavar="PATH", help="while this file exists, no agent action is carried out")
    add("--token-file", metavar="PATH", help="a file with the token that senders over HTTP and TCP must present")
    add("--token-env", metavar="NAME", help="an environment variable with that token")
    add("--tls-certificate", metavar="PATH", help="for HTTP and TCP: a file with the certificate chain, PEM")
    add("--tls-key", metavar="PATH", help="a file with its private key, PEM")
    add("--tls-clients", metavar="PATH", help="a file with authorities: clients must present a certificate of theirs")
    add(
        "--plain",
        action="store_true",
        help="allow unencrypted tokens and events: something else encrypts the network",
    )
    add("--group", metavar="NAME", help="for brokers: the consumer group, or durable consumer (default: spyderresp)")
    add("--dead-letters", metavar="NAME", help="for brokers: the topic or subject for messages that cannot be decided")
    add("--uid", action="append", metavar="NUMBER", help="a user that may send over Unix sockets; may be repeated")
    add("--monitor", metavar="ADDRESS", help="the address to serve health and metrics at")
    add_deciding_options(parser, with_defaults=False)


def run(args: argparse.Namespace, streams: Streams) -> int:
    """Run the verb and return its exit code."""
    # The service takes long to import, and `spyderresp run --help` does not need it.
    try:
        import pydantic  # noqa: F401 - the configuration needs it
    except ImportError:
        message = "`spyderresp run` needs the extra `service`: pip install 'spyderresp[service]'"
        raise CommandError(message) from None
    from spyderresp.cli import run_service

    return run_service.run(args, streams)
