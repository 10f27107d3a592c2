"""kill -9 of ``spyderresp run`` and of its broker at random moments: was an event lost, or a kill doubled?

A trial sends events through a broker to a service that kills what they mean. Meanwhile service and broker are ended
with SIGKILL, again and again, alone and together, and started again. In the end each event that the broker took must
have been acted on once, each message that is no event must lie with the dead letters, and nothing may be left. NATS is
a real nats-server; Kafka is librdkafka's mock, which is not killed but answers nobody for a while.

``--control`` breaks the trial on purpose, and the rig must then find faults, or it proves nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import spyderresp
from spyderresp.journal import verify
from trials.broker_world import BROKERS, EXECUTOR, Broker

POLICY = """\
apiVersion: spyderbat/v1
kind: SpyderbatPolicy
metadata: {name: kill, type: cluster}
spec:
  mode: enforce
  clusterSelector: {matchFields: {name: rig}}
  response:
    default:
    - makeRedFlag: {severity: high, content: seen}
    - agentKillProcess: {}
"""
CONTROLS = ("forgetful", "purge")
PATIENCE = 360.0


@dataclass
class Tally:
    """What came of trials."""

    trials: int = 0
    events: int = 0
    letters: int = 0
    service_kills: int = 0
    broker_kills: int = 0
    lost: int = 0
    doubled: int = 0
    flags_lost: int = 0
    flags_repeated: int = 0
    faults: list[str] = field(default_factory=list)


class Service:
    """``spyderresp run`` as a process, in a directory."""

    def __init__(self, place: Path, source: dict[str, Any], *, forgetful: bool) -> None:
        self.place = place
        self._forgetful = forgetful
        self._process: subprocess.Popen[bytes] | None = None
        self._log = place / "log"
        self._said_before = 0
        for name in ("alive", "dead", "more"):
            (place / name).mkdir()
        (place / "policy.yaml").write_text(POLICY)
        (place / "more" / "rig_acts.py").write_text(EXECUTOR)
        about = place / "more" / "rig_acts-1.dist-info"
        about.mkdir()
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: rig-acts\nVersion: 1\n")
        (about / "entry_points.txt").write_text("[spyderresp.executors]\nnoted = rig_acts:Noted\n")
        many = 1_000_000
        limits = {"policy": many, "namespace": many, "overall": many, "warm_up": many}
        config = {
            "policies": "policy.yaml",
            "events": [source],
            "executors": [
                {"jsonlines": {"path": str(place / "flags.jsonl")}},
                {"noted": {"place": str(place), "blind": forgetful}},
            ],
            "journal": "journal.sqlite",
            "guard": {"kill_switch": "no", "expiry": "1h", "limits": limits},
        }
        (place / "run.yaml").write_text(json.dumps(config))

    def start(self) -> None:
        root = Path(spyderresp.__file__).parents[1]
        paths = [str(root), str(self.place / "more"), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "RIG_TOKEN": "a-token-of-the-rig"}
        environment.pop("PYTHONUNBUFFERED", None)
        with self._log.open("ab") as log:
            self._said_before = self._log.stat().st_size
            self._process = subprocess.Popen(
                [sys.executable, "-m", "spyderresp", "run", "--config", "run.yaml"],
                cwd=self.place,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        """End it where it stands."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            if self._forgetful:
                for path in self.place.glob("journal.sqlite*"):
                    path.unlink()

    def end(self) -> int:
        """Let it end well; return its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(PATIENCE)

    @property
    def begun(self) -> bool:
        """Whether this life of it got as far as to read."""
        return b"events from" in self._log.read_bytes()[self._said_before :]

    @property
    def ended(self) -> bool:
        return self._process is not None and self._process.poll() is not None


def messages_of(count: int, draw: random.Random, place: Path) -> tuple[list[tuple[str, bytes]], set[bytes]]:
    """Return messages with their ids, and those among them that are no events; make the processes that they mean."""
    found, poison = [], set()
    for number in range(1, count + 1):
        if draw.random() < 0.03:
            data = b'{"id": "p%d"' % number
            poison.add(data)
        else:
            (place / "alive" / str(number)).touch()
            event = {"id": f"e{number}", "cluster": {"name": "rig"}, "process": {"name": "evil", "pid": number}}
            data = json.dumps(event).encode()
        found.append((f"m{number}", data))
    return found, poison


def tried(name: str, count: int, draw: random.Random, control: str, tally: Tally) -> None:
    """Make one trial."""
    with tempfile.TemporaryDirectory(prefix="brokers-") as folder:
        place = Path(folder)
        broker: Broker = BROKERS[name](place)
        service = Service(place, broker.source, forgetful=control == "forgetful")
        try:
            messages, poison = messages_of(count, draw, place)
            sender = threading.Thread(target=broker.send, args=(messages, random.Random(draw.random())), daemon=True)
            sender.start()
            if control == "purge":
                sender.join(PATIENCE)
                broker.purge()
            service.start()
            _disturb(service, broker, draw, tally)
            sender.join(PATIENCE)
            ended = _settled(service, broker, place, count - len(poison))
            tally.faults += [
                f"{name}: {fault}" for fault in (*ended, *_compared(place, messages, poison, broker, tally))
            ]
        finally:
            service.kill()
            broker.close()
    tally.trials += 1
    tally.events += count - len(poison)
    tally.letters += len(poison)


def _disturb(service: Service, broker: Broker, draw: random.Random, tally: Tally) -> None:
    for _ in range(draw.randrange(2, 6)):
        # Soon after a start, or when it is at work.
        time.sleep(draw.choice([draw.random() * 0.5, 1.0 + draw.random() * 1.5]))
        whom = draw.choice(["service", "broker", "both"])
        if whom != "broker":
            service.kill()
            tally.service_kills += 1
        if whom != "service":
            broker.disturb(draw)
            tally.broker_kills += 1
        if whom != "broker":
            service.start()


def _settled(service: Service, broker: Broker, place: Path, due: int) -> Iterator[str]:
    """Wait until everything is acknowledged, and let the service end."""
    until = time.monotonic() + PATIENCE
    left = 1
    # All may be done before the last life has begun, and then it does not hear SIGTERM yet.
    while time.monotonic() < until and (left or not service.begun) and not service.ended:
        time.sleep(0.2)
        with contextlib.suppress(OSError, AssertionError):
            left = broker.left()
    if left or not service.begun:
        log = (place / "log").read_text(errors="replace")[-1500:]
        yield f"{left} messages are not acknowledged after {PATIENCE:g} s: {log}"
    elif (code := service.end()) != 0:
        yield f"exit code {code}: {(place / 'log').read_text(errors='replace')[-1500:]}"


def _compared(
    place: Path, messages: list[tuple[str, bytes]], poison: set[bytes], broker: Broker, tally: Tally
) -> Iterator[str]:
    due = {json.loads(data)["process"]["pid"] for _, data in messages if data not in poison}
    dead = {int(path.name) for path in (place / "dead").iterdir()}
    acts = Counter((place / "acts").read_text().split()) if (place / "acts").exists() else Counter()
    if lost := due - dead:
        tally.lost += len(lost)
        yield f"{len(lost)} events are lost, such as e{min(lost)}"
    if doubled := [number for number, times in acts.items() if times > 1]:
        tally.doubled += len(doubled)
        yield f"{len(doubled)} kills are doubled, such as of {doubled[0]}"
    flags = place / "flags.jsonl"
    raised = Counter(json.loads(line)["id"] for line in flags.read_text().splitlines()) if flags.exists() else Counter()
    tally.flags_repeated += sum(times - 1 for times in raised.values())
    if len(raised) != len(due):
        tally.flags_lost += max(0, len(due) - len(raised))
        yield f"{len(due)} flags are due, and {len(raised)} ids arrived"
    if missing := poison - broker.letters():
        yield f"{len(missing)} dead letters are missing, such as {min(missing)!r}"
    journal = place / "journal.sqlite"
    if not journal.exists():
        return
    if not (verification := verify(str(journal))).ok:
        yield f"the journal does not verify: {verification}"
    with contextlib.closing(sqlite3.connect(journal)) as connection:
        (unended,) = connection.execute("SELECT count(*) FROM keys WHERE ended IS NULL").fetchone()
        (owed,) = connection.execute("SELECT count(*) FROM outbox").fetchone()
    if unended or owed:
        yield f"{unended} steps without an outcome, {owed} flags owed"


def add_parser(verbs: Any) -> None:
    """Add the rig's command."""
    parser = verbs.add_parser(
        "brokers", help="kill -9 of the service and of its broker", description=__doc__.partition("\n")[0]
    )
    add_options(parser)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--events", type=int, default=1000, help="messages a trial")
    parser.add_argument("--broker", choices=(*BROKERS, "both"), default="nats", help="both: by turns (default: nats)")
    parser.add_argument("--seed", type=int, default=0, help="default: drawn")
    parser.add_argument("--control", choices=CONTROLS, default="", help="break the trial: faults must be found")


def run(args: argparse.Namespace) -> int:
    """Run the rig; exit with 0 where it found what it should."""
    seed = args.seed or random.SystemRandom().randrange(1, 1 << 30)
    draw = random.Random(seed)
    if args.control == "purge" and args.broker != "nats":
        raise SystemExit("only NATS can lose what it holds")
    names = list(BROKERS) if args.broker == "both" else [args.broker]
    tally = Tally()
    started = time.monotonic()
    for number in range(args.trials):
        tried(names[number % len(names)], args.events, draw, args.control, tally)
    said = {
        "rig": "brokers",
        "broker": args.broker,
        "control": args.control,
        "trials": tally.trials,
        "events": tally.events,
        "lost": tally.lost,
        "kills_doubled": tally.doubled,
        "flags_lost": tally.flags_lost,
        "flags_repeated": tally.flags_repeated,
        "dead_letters": tally.letters,
        "service_killed": tally.service_kills,
        "broker_killed": tally.broker_kills,
        "faults": len(tally.faults),
        "seed": seed,
        "seconds": round(time.monotonic() - started, 1),
    }
    for fault in tally.faults[:10]:
        print(fault)
    print(json.dumps(said))
    return int(bool(tally.faults) == (args.control == ""))


if __name__ == "__main__":
    own = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add_options(own)
    sys.exit(run(own.parse_args()))
