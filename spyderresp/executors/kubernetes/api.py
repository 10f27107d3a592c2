"""Requests to a Kubernetes API server. The only importer of the official client, which takes most of a second.

That client knows kubeconfig files, service accounts, their logins and their tokens' refreshing, and holds the
connections. The requests are made on its connections, byte by byte: retries off, the answer read whole and bounded,
and not forced into the classes of one API version.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Mapping
from typing import Any, Final

import urllib3
from kubernetes import client as official
from kubernetes import config as settings

from spyderresp.errors import __version__
from spyderresp.execution.backoff import retry_after
from spyderresp.executors.sinks.http_call import Calls, HttpResponse, NoResponseError, PermanentError

#: More than etcd keeps of any one object.
_MOST: Final = 8 << 20
_IN_CLUSTER: Final = "KUBERNETES_SERVICE_HOST"


class PodApi:
    """An API server, connected to at the first request. Safe to use from several threads.

    Args:
        client: an ``ApiClient`` of the official client; None: made from the configuration.
        kubeconfig: the path of a kubeconfig file; None: ``$KUBECONFIG``, else the service account of the pod that this
            runs in, else ``~/.kube/config``.
        context: which context of that file; None: its current one.
        timeout: seconds to wait for a connection, and for an answer.
    """

    def __init__(self, client: Any, kubeconfig: str | None, context: str | None, timeout: tuple[float, float]) -> None:
        self._client = client
        self._own = client is None
        self._kubeconfig = kubeconfig
        self._context = context
        self._timeout = timeout
        self._calls = Calls()
        self._lock = threading.Lock()
        self._closed = False

    def call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, most: float | None = None
    ) -> HttpResponse:
        """Return what the server answers.

        Args:
            method: such as ``DELETE``.
            path: from ``/api`` on; quoted already.
            body: JSON data.
            most: seconds after which nobody waits any longer, where that is sooner than the timeouts.

        Raises:
            NoResponseError: no answer came.
            PermanentError: there is no usable configuration.
        """
        limit = sum(self._timeout) if most is None else min(most, sum(self._timeout))
        return self._calls(lambda: self._call(method, path, body, limit), limit)

    def close(self) -> None:
        """Close the connections, but not those of a client that was handed in."""
        self._closed = True
        if self._own and self._client is not None:
            self._client.rest_client.pool_manager.clear()

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None, limit: float) -> HttpResponse:
        client = self._connected()
        connect, read = self._timeout
        try:
            headers = {"User-Agent": f"spyderresp/{__version__}", "Accept": "application/json", **_login(client)}
        except Exception as error:
            raise NoResponseError(f"no login: {_cause(error)}") from error
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            response = client.rest_client.pool_manager.request(
                method,
                client.configuration.host.rstrip("/") + path,
                body=None if body is None else json.dumps(body).encode(),
                headers=headers,
                timeout=urllib3.Timeout(connect=min(connect, limit), read=min(read, limit)),
                retries=False,
                redirect=False,
                preload_content=False,
            )
            try:
                raw = response.read(_MOST)
                asked = retry_after(response.headers.get("Retry-After"), time.time())
                return HttpResponse(response.status, raw.decode("utf-8", "replace"), asked)
            finally:
                # Read to its end the connection is kept; otherwise it must not be used again.
                response.close() if response.length_remaining else response.release_conn()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise NoResponseError(_cause(error)) from error

    def _connected(self) -> Any:
        with self._lock:
            if self._closed:
                raise PermanentError("the executor is closed")
            if self._client is None:
                try:
                    self._client = self._made()
                except Exception as error:
                    raise PermanentError(f"no usable Kubernetes configuration: {_cause(error)}") from error
            return self._client

    def _made(self) -> Any:
        configuration = official.Configuration()
        named = self._kubeconfig or os.environ.get("KUBECONFIG")
        if named or self._context or _IN_CLUSTER not in os.environ:
            settings.load_kube_config(
                config_file=named or None, context=self._context, client_configuration=configuration
            )
        else:
            settings.load_incluster_config(client_configuration=configuration)
        return official.ApiClient(configuration)


def _login(client: Any) -> dict[str, str]:
    """Return the headers that say who asks; a token that ran out is fetched anew on the way."""
    headers = {name: value for name, value in client.default_headers.items() if name.lower() != "user-agent"}
    for setting in client.configuration.auth_settings().values():
        if setting["in"] == "header" and setting["value"]:
            headers[setting["key"]] = setting["value"]
    return headers


def _cause(error: Exception) -> str:
    # The pool's own prefix names an object of this process.
    text = str(error).rpartition(">: ")[2]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
