"""Runs the contract suite of the executor ``Kubernetes`` against a real kube-apiserver and etcd, on loopback.

``build-kube-apiserver.sh`` beside this makes the two programs. There are no nodes: pods that are bound to one stay
until something removes them, which is the test's to do. On a cluster of your own::

    SPYDERRESP_KUBECONFIG=~/.kube/config pytest tests/execution/kubernetes -k real
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
TOKEN = "administrator"


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("kubernetes", help="the contract suite of `Kubernetes` on a real kube-apiserver")
    add_arguments(parser)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--binaries", type=Path, required=True, help="a directory with kube-apiserver and etcd")
    parser.add_argument("--races", type=int, default=500, help="how often a pod is recreated between look and act")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Start the server, run the suite on it, and stop it again. Return pytest's exit code."""
    with (
        tempfile.TemporaryDirectory(prefix="spyderresp-kube-") as name,
        _serving(options.binaries, Path(name)) as config,
    ):
        environ = {**os.environ, "SPYDERRESP_KUBECONFIG": str(config), "SPYDERRESP_KUBE_RACES": str(options.races)}
        suite = ROOT / "tests" / "execution" / "kubernetes"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "real", str(suite)]
        command += ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT)]
        return subprocess.run(command, env=environ, check=False, timeout=1800).returncode


@contextlib.contextmanager
def _serving(binaries: Path, folder: Path) -> Iterator[Path]:
    """Run etcd and kube-apiserver in a folder; give the path of an administrator's kubeconfig."""
    store, peer, port = (_free() for _ in range(3))
    (folder / "tokens.csv").write_text(f'{TOKEN},admin,1,"system:masters"\n')
    subprocess.run(["openssl", "genrsa", "-out", str(folder / "key"), "2048"], check=True, capture_output=True)
    etcd = [str(binaries / "etcd"), "--data-dir", str(folder / "etcd"), "--unsafe-no-fsync"]
    etcd += [f"--listen-client-urls=http://127.0.0.1:{store}", f"--advertise-client-urls=http://127.0.0.1:{store}"]
    etcd += [f"--listen-peer-urls=http://127.0.0.1:{peer}", f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}"]
    etcd += [f"--initial-cluster=default=http://127.0.0.1:{peer}"]
    server = [str(binaries / "kube-apiserver"), f"--etcd-servers=http://127.0.0.1:{store}", "--authorization-mode=RBAC"]
    server += ["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", f"--secure-port={port}"]
    server += [f"--cert-dir={folder / 'certs'}", f"--token-auth-file={folder / 'tokens.csv'}"]
    server += ["--service-account-issuer=https://localhost", "--service-cluster-ip-range=10.0.0.0/24"]
    server += [f"--service-account-signing-key-file={folder / 'key'}", f"--service-account-key-file={folder / 'key'}"]
    # Pods would wait for accounts that a controller makes, and there is none.
    server += ["--disable-admission-plugins=ServiceAccount"]
    with contextlib.ExitStack() as stack:
        for name, command in (("etcd", etcd), ("kube-apiserver", server)):
            log = stack.enter_context((folder / f"{name}.log").open("wb"))
            process = stack.enter_context(subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL))
            stack.callback(process.terminate)
        _until_ready(port, folder)
        config = folder / "kubeconfig"
        cluster = {"server": f"https://127.0.0.1:{port}", "certificate-authority": str(folder / "certs/apiserver.crt")}
        told = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "rig",
            "clusters": [{"name": "rig", "cluster": cluster}],
            "users": [{"name": "rig", "user": {"token": TOKEN}}],
            "contexts": [{"name": "rig", "context": {"cluster": "rig", "user": "rig"}}],
        }
        config.write_text(json.dumps(told))
        yield config


def _free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _until_ready(port: int, folder: Path) -> None:
    request = urllib.request.Request(f"https://127.0.0.1:{port}/readyz", headers={"Authorization": f"Bearer {TOKEN}"})
    # Its certificate is one that it has just made itself.
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    for _ in range(240):
        with contextlib.suppress(OSError), urllib.request.urlopen(request, context=trusting, timeout=5):
            return
        time.sleep(0.25)
    raise SystemExit((folder / "kube-apiserver.log").read_text()[-2000:] or "kube-apiserver did not start")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.trials.kubernetes", description=__doc__)
    add_arguments(parser)
    return run(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
