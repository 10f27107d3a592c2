"""Start a process, decide about it by a policy, and kill it: python examples/quickstart.py

Linux only. The example starts the `sleep` that it kills; nothing else is touched.
"""

from __future__ import annotations

import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import spyderresp
from spyderresp.executors import LocalHost
from spyderresp.journal import Journal

POLICY = """\
apiVersion: spyderbat/v1
kind: SpyderbatPolicy
metadata: {name: no-sleepers, type: cluster}
spec:
  mode: enforce
  clusterSelector:
    matchFields: {name: quickstart}
  response:
    actions:
    - agentKillProcess:
        processSelector:
          matchFields: {name: sleep}
"""


def event_of(pid: int) -> dict[str, Any]:
    """Return an event about a running process. Its start tick and the boot's id identify it exactly."""
    stat = Path(f"/proc/{pid}/stat").read_text()
    return {
        "id": f"quickstart-{pid}",
        "time": time.time(),
        "cluster": {"name": "quickstart"},
        "machine": {"hostname": socket.gethostname()},
        "process": {
            "name": "sleep",
            "pid": pid,
            "start_ticks": int(stat.rpartition(")")[2].split()[19]),
            "boot_id": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        },
    }


def main() -> None:
    engine = spyderresp.Engine(spyderresp.loads(POLICY))
    with subprocess.Popen(["/bin/sleep", "600"]) as process, tempfile.TemporaryDirectory() as folder:
        try:
            event = event_of(process.pid)
            plan = engine.evaluate(event)
            with Journal(Path(folder, "journal.sqlite")) as journal:
                report = spyderresp.execute(plan, [LocalHost(socket.gethostname())], journal=journal, event=event)
            for action, outcome in zip(plan, report, strict=True):
                print(f"{action.name}: {outcome.status}: {outcome.reason}")
                for source in action.sources:
                    line = source.location.line
                    text = POLICY.splitlines()[line - 1].strip()
                    print(f"  because policy {source.policy} asks for it in line {line}: {text}")
        finally:
            process.kill()
    print(f"sleep ended by signal {-process.returncode}")


if __name__ == "__main__":
    main()
