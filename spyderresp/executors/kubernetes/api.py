"""Requests to a Kubernetes API server. Only this module imports the official client, because that takes long.

The official client reads the configuration, logs in, renews tokens and holds the connections. The requests are made
here on its connections: without its retries, with a limit for the response, and without its versioned classes.
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

# The most bytes of a response that are read. No object in etcd is larger.
_MAX_BYTES: Final = 8 << 20
_IN_CLUSTER: Final = "KUBERNETES_SERVICE_HOST"


class PodApi:
    """An API server. It connects for the first request. Safe to use from several threads.

    The arguments are those of ``Kubernetes``.
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
        """Send a request with JSON data to a quoted path, and return the response, after at most ``most`` seconds.

        Raises:
            NoResponseError: no response came.
            PermanentError: there is no usable configuration, or the executor is closed.
        """
        limit = sum(self._timeout) if most is None else min(most, sum(self._timeout))
        return self._calls(lambda: self._call(method, path, body, limit), limit)

    def close(self) -> None:
        """Close the connections, except those of a client that was passed in."""
        self._closed = True
        if self._own and self._client is not None:
            self._client.rest_client.pool_manager.clear()

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None, limit: float) -> HttpResponse:
        client = self._connected()
        connect, read = self._timeout
        try:
            headers = {"User-Agent": f"spyderresp/{__version__}", "Accept": "application/json", **_login(client)}
        except Exception as error:
            raise NoResponseError(f"the login failed: {_reason(error)}") from error
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
                raw = response.read(_MAX_BYTES)
                asked = retry_after(response.headers.get("Retry-After"), time.time())
                return HttpResponse(response.status, raw.decode("utf-8", "replace"), asked)
            finally:
                # A connection can be used again only if the response was read to its end.
                response.close() if response.length_remaining else response.release_conn()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise NoResponseError(_reason(error)) from error

    def _connected(self) -> Any:
        with self._lock:
            if self._closed:
                raise PermanentError("the executor is closed")
            if self._client is None:
                try:
                    self._client = self._make_client()
                except Exception as error:
                    raise PermanentError(f"no usable Kubernetes configuration: {_reason(error)}") from error
            return self._client

    def _make_client(self) -> Any:
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
    """Return the headers that authenticate a request. The official client renews a token that has expired."""
    headers = {name: value for name, value in client.default_headers.items() if name.lower() != "user-agent"}
    for setting in client.configuration.auth_settings().values():
        if setting["in"] == "header" and setting["value"]:
            headers[setting["key"]] = setting["value"]
    return headers


def _reason(error: Exception) -> str:
    # urllib3 begins its messages with the address of an object in memory.
    text = str(error).rpartition(">: ")[2]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
