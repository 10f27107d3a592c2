"""Events over loopback HTTP as fast as one core sends them: is what was accepted decided, and carried out?

One process sends bodies of JSON lines over several connections: 1% of the lines are malformed, 1% ask for a flag and an
act. The service runs as it does for anybody, with a journal. In the middle its policies are broken. Then
everything is counted: what each answer said against what the body held, the journal, the flags, the acts, the memory.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import re
import secrets
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

POLICY = """\
apiVersion: spyderbat/v1
kind: SpyderbatPolicy
metadata: {{name: fleet-{number}, type: cluster, uid: "pol:{number}"}}
spec:
  mode: enforce
  clusterSelector: {{matchFields: {{name: cluster-{number}}}}}
  response:
    default: []
    actions:
    - makeRedFlag:
        severity: high
        content: seen
        processSelector: {{matchFields: {{exe: "/tmp/*/miner"}}}}
    - agentReniceProcess:
        priority: 19
        processSelector: {{matchFields: {{exe: "/tmp/*/miner"}}}}
"""
# Acts for real in as far as it can be counted: a line for each act, in a file. While a file of another name is there it
# waits.
EXECUTOR = """\
import os
import time
from spyderresp.execution.report import Result

class Noted:
    name = "noted"
    actions = frozenset({"agentReniceProcess"})
    def __init__(self, path: str, stall: str) -> None:
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.stall = stall
    def resolve(self, step, protection):
        return Held(self, step)
    def close(self):
        os.close(self.file)

class Held:
    namespace = None
    facts = {}
    def __init__(self, owner, step):
        self.owner, self.step = owner, step
        self.identity = f"noted:{step.event}"
    def act(self):
        while os.path.exists(self.owner.stall):
            time.sleep(0.01)
        os.write(self.owner.file, f"{self.step.event}\\n".encode())
        return Result("done", "noted")
    def release(self):
        pass
"""
POLICIES = 64


@dataclass
class Tally:
    """What was sent, what was answered, and what was wrong."""

    offered: int = 0
    bodies: int = 0
    accepted: int = 0
    bad: int = 0
    turned_away: int = 0
    unanswered: int = 0
    due: set[str] = field(default_factory=set)
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, other: Tally) -> None:
        """Add what another thread counted."""
        with self.lock:
            for name in ("offered", "bodies", "accepted", "bad", "turned_away", "unanswered"):
                setattr(self, name, getattr(self, name) + getattr(other, name))
            self.due |= other.due
            self.outcomes += other.outcomes
            self.faults += other.faults


def event_text(exe: str) -> bytes:
    """Return an event as JSON, with places for its id and its cluster."""
    event = {
        "id": "%d-%d",
        "cluster": {"name": "cluster-%d", "uid": "clus:1"},
        "machine": {"hostname": "node-17.example.net", "uid": "mach:aEovv8yHrks"},
        "namespace": {"name": "shop", "labels": {"kubernetes.io/metadata.name": "shop", "team": "web"}},
        "pod": {
            "name": "web-5c74df8b9c-x2vqp",
            "uid": "pod:ab",
            "kuid": "a8f2f824-0000-4000-8000-000000000001",
            "labels": {"app": "web", "pod-template-hash": "5c74df8b9c"},
        },
        "container": {"image": "docker.io/library/nginx:1.25", "containerName": "web", "containerID": "74210ef01a9a"},
        "process": {"name": "bash", "exe": exe, "euser": "root", "pid": 4242, "ppid": 4000, "start_ticks": 918273},
    }
    return json.dumps(event).encode() + b"\n"


CALM, EVIL, BROKEN = event_text("/usr/sbin/nginx"), event_text("/tmp/x/miner"), b'{"id": "%d-%d", "cluster": %d\n'


def body_of(sender: int, first: int, size: int) -> tuple[bytes, list[int], list[str]]:
    """Return a body, the numbers of its broken lines, and the ids of the events that something is to be done about."""
    lines, broken, due = [], [], []
    for place in range(size):
        number = first + place
        kind = number % 100
        text = BROKEN if kind == 37 else EVIL if kind == 73 else CALM
        lines.append(text % (sender, number, number % POLICIES))
        if kind == 37:
            broken.append(place + 1)
        elif kind == 73:
            due.append(f"{sender}-{number}")
    return b"".join(lines), broken, due


def send(
    port: int, token: str, sender: int, size: int, until: float, stall: Path, warm: threading.Event, total: Tally
) -> None:
    """Send bodies over one connection, as fast as they are answered; end the stall once one is turned away."""
    tally = Tally()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/x-ndjson"}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=240)
    number = 0
    while time.monotonic() < until:
        body, broken, due = body_of(sender, number, size)
        number += size
        tally.bodies += 1
        tally.offered += size
        try:
            connection.request("POST", "/v1/events", body, headers)
            answer = connection.getresponse()
            said = json.loads(answer.read())
        except (OSError, http.client.HTTPException) as error:
            tally.unanswered += size
            tally.faults.append(f"no answer: {error!r}")
            connection.close()
            continue
        if tally.bodies >= 20:
            warm.set()
        if answer.status == 429:
            tally.turned_away += size
            stall.unlink(missing_ok=True)
            if answer.getheader("Retry-After") is None:
                tally.faults.append("429 without Retry-After")
            continue
        named = [item["line"] for item in said.get("errors", ())]
        expected = 200 if len(broken) < size else 400
        if answer.status != expected or said["accepted"] != size - len(broken) or named != broken[:100]:
            tally.faults.append(f"status {answer.status}, expected bad lines {broken[:5]}..., told {said}"[:500])
            continue
        tally.accepted += said["accepted"]
        tally.bad += said["bad"]
        tally.outcomes.update(said["outcomes"])
        tally.due.update(due)
    connection.close()
    total.add(tally)


@contextlib.contextmanager
def service(place: Path, queue: int, token: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run a service in a directory; give it and its port."""
    (place / "policies").mkdir()
    (place / "policies" / "fleet.yaml").write_text("---\n".join(POLICY.format(number=n) for n in range(POLICIES)))
    (place / "more").mkdir()
    (place / "more" / "flood_acts.py").write_text(EXECUTOR)
    about = place / "more" / "flood_acts-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: flood-acts\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[spyderresp.executors]\nnoted = flood_acts:Noted\n")
    config = {
        "policies": "policies",
        "events": [{"http": "127.0.0.1:0", "token": {"env": "FLOOD_TOKEN"}}],
        "executors": [
            {"jsonlines": {"path": str(place / "flags.jsonl")}},
            {"noted": {"path": str(place / "acts"), "stall": str(place / "stall")}},
        ],
        "journal": "journal.sqlite",
        "guard": {"kill_switch": False},
        "limits": {"events": queue},
    }
    (place / "run.yaml").write_text(json.dumps(config).replace("false", '"no"'))
    root = Path(spyderresp.__file__).parents[1]
    paths = [str(root), str(place / "more"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "FLOOD_TOKEN": token}
    environment.pop("PYTHONUNBUFFERED", None)
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "spyderresp", "run", "--config", "run.yaml", "--log", "text"],
            cwd=place,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield process, _port(place / "log", process)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _port(log: Path, process: subprocess.Popen[bytes]) -> int:
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(r"events from http [^ ]*:(\d+)", log.read_text()):
            return int(found[1])
        time.sleep(0.05)
    raise RuntimeError(f"the service did not begin: {log.read_text()}")


def resident(pid: int) -> int:
    """Return how many bytes of memory a process has."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) * 1024 if found else 0


def cpu_seconds(pid: int) -> float:
    """Return how many seconds of processor time a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def flood(seconds: float, connections: int, size: int, queue: int, growth: int, stalled: bool) -> dict[str, Any]:
    """Flood a service; return the figures. Where it is stalled, nothing is acted on until something is turned away."""
    tally = Tally()
    token = secrets.token_hex(16)
    warm = threading.Event()
    with tempfile.TemporaryDirectory(prefix="flood-") as name:
        place = Path(name)
        stall = place / "stall"
        if stalled:
            stall.touch()
        with service(place, queue, token) as (process, port):
            begun = time.monotonic()
            cpu, ours = cpu_seconds(process.pid), time.process_time()
            senders = [
                threading.Thread(target=send, args=(port, token, n, size, begun + seconds, stall, warm, tally))
                for n in range(connections)
            ]
            for sender in senders:
                sender.start()
            memory = _watched(process.pid, place / "policies" / "fleet.yaml", begun, seconds, warm)
            stall.unlink(missing_ok=True)
            for sender in senders:
                sender.join()
            took = time.monotonic() - begun
            cpu, ours = cpu_seconds(process.pid) - cpu, time.process_time() - ours
            process.send_signal(signal.SIGTERM)
            code = process.wait(240)
        log = (place / "log").read_text()
        if code != 0:
            tally.faults.append(f"exit code {code}: {log[-500:]}")
        if "the previous policies stay in force" not in log or "policies loaded" in log:
            tally.faults.append("the broken policy was not refused, or changed something")
        _compare(place, tally)
    early, late = memory
    if late - early > growth:
        tally.faults.append(f"memory grew from {early >> 20} to {late >> 20} MiB")
    return {
        "rig": "flood",
        "seconds": round(took, 1),
        "connections": connections,
        "events_a_body": size,
        "offered": tally.offered,
        "accepted": tally.accepted,
        "bad": tally.bad,
        "turned_away": tally.turned_away,
        "unanswered": tally.unanswered,
        "accepted_a_second": round(tally.accepted / took),
        "cpu_us_an_event": round(cpu / max(1, tally.accepted + tally.bad) * 1e6, 1),
        "cpu_us_an_event_of_the_sender": round(ours / max(1, tally.offered) * 1e6, 1),
        "steps": dict(tally.outcomes),
        "steps_due": 2 * len(tally.due),
        "memory_mib": [early >> 20, late >> 20],
        "faults": len(tally.faults),
        "first_faults": tally.faults[:5],
    }


def _watched(pid: int, policies: Path, begun: float, seconds: float, warm: threading.Event) -> tuple[int, int]:
    """Break the policies at a third; return the memory after a quarter of the time, and at its end.

    A service that has not answered a sender so often by then has not loaded yet what it keeps: that is waited for.
    """
    early = late = 0
    broken = False
    while (now := time.monotonic() - begun) < seconds:
        if now > seconds / 3 and not broken:
            broken = True
            _break(pid, policies)
        late = resident(pid)
        if now < seconds / 4 or not early or not warm.is_set():
            early = max(early, late)
        time.sleep(0.1)
    if not broken:
        # The machine stood still for so long.
        _break(pid, policies)
    return early, late


def _break(pid: int, policies: Path) -> None:
    """Make the policies wrong, at once: what watches them must not find half of them."""
    beside = policies.parent.with_name("broken.yaml")
    beside.write_text(policies.read_text().replace("severity: high", "severity: hihg"))
    beside.replace(policies)
    os.kill(pid, signal.SIGHUP)


def _compare(place: Path, tally: Tally) -> None:
    """Hold what was done against what the answers say."""
    acts = Counter((place / "acts").read_text().split())
    flags = [json.loads(line) for line in (place / "flags.jsonl").read_text().splitlines()]
    if missing := tally.due - acts.keys():
        tally.faults.append(f"{len(missing)} acts of accepted events are missing, such as {min(missing)}")
    if doubled := [event for event, count in acts.items() if count > 1]:
        tally.faults.append(f"{len(doubled)} acts were done twice, such as {doubled[0]}")
    if len({flag["id"] for flag in flags}) < len(tally.due):
        tally.faults.append(f"{len(flags)} flags for {len(tally.due)} events")
    journal = str(place / "journal.sqlite")
    verification = verify(journal)
    if not verification.ok:
        tally.faults.append(f"the journal does not verify: {verification}")
    with contextlib.closing(sqlite3.connect(journal)) as connection:
        (unended,) = connection.execute("SELECT count(*) FROM keys WHERE ended IS NULL").fetchone()
        (done,) = connection.execute("SELECT count(*) FROM keys WHERE status = 'done'").fetchone()
        (owed,) = connection.execute("SELECT count(*) FROM outbox").fetchone()
    if unended or owed:
        tally.faults.append(f"{unended} steps without an outcome, {owed} flags owed")
    if done < 2 * len(tally.due):
        tally.faults.append(f"{done} steps done in the journal, {2 * len(tally.due)} due")


def add_parser(verbs: Any) -> None:
    """Add the rig's command."""
    parser = verbs.add_parser(
        "flood", help="events over HTTP as fast as they go", description=__doc__.partition("\n")[0]
    )
    add_options(parser)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--size", type=int, default=500, help="events in a body")
    parser.add_argument("--queue", type=int, default=50_000, help="how many events may wait in the service")
    parser.add_argument(
        "--stalled", action="store_true", help="act on nothing until something is turned away, or the time is over"
    )
    parser.add_argument(
        "--growth", type=int, default=32, help="MiB that its memory may grow by after the first quarter"
    )


def run(args: argparse.Namespace) -> int:
    """Run the rig; exit with 0 where nothing was wrong."""
    said = flood(args.seconds, args.connections, args.size, args.queue, args.growth << 20, args.stalled)
    print(json.dumps(said))
    return 1 if said["faults"] else 0


if __name__ == "__main__":
    parsed = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add_options(parsed)
    raise SystemExit(run(parsed.parse_args()))
