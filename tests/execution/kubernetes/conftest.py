"""The servers that the contract is tested on: the stand-in always, a real cluster where one is named.

``SPYDERRESP_KUBECONFIG`` names the kubeconfig of an administrator, ``SPYDERRESP_KUBE_NAMESPACE`` a namespace to work in
(default: ``spyderresp-test``, made where it is missing). Tests that plant faults run on the stand-in alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kube_cluster import NAMESPACE, QUICK, Cluster
from kube_stand_in import StandIn, served
from kubernetes import client as official
from kubernetes import config as settings

from spyderresp.executors import Kubernetes

KUBECONFIG = os.environ.get("SPYDERRESP_KUBECONFIG")
SERVERS = ["stand-in", "stand-in-v1beta1", *(["real"] if KUBECONFIG else [])]


@pytest.fixture
def stand_in() -> StandIn:
    return StandIn()


@pytest.fixture
def standing(stand_in: StandIn) -> Iterator[Cluster]:
    """The stand-in alone, for tests that plant faults."""
    with served(stand_in) as address:
        client = official.ApiClient(official.Configuration(host=address))
        yield Cluster(client, NAMESPACE)
        client.rest_client.pool_manager.clear()


@pytest.fixture(params=SERVERS)
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    if request.param != "real":
        with served(StandIn("policy/v1" if request.param == "stand-in" else "policy/v1beta1")) as address:
            client = official.ApiClient(official.Configuration(host=address))
            yield Cluster(client, NAMESPACE)
            client.rest_client.pool_manager.clear()
        return
    client = settings.new_client_from_config(config_file=KUBECONFIG)
    real = Cluster(client, NAMESPACE)
    real.call("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}}, good=(201, 409))
    try:
        yield real
    finally:
        real.clear()
        client.rest_client.pool_manager.clear()


@pytest.fixture
def executor(cluster: Cluster) -> Callable[..., Kubernetes]:
    """Make an executor for the cluster."""

    def made(**settings_: Any) -> Kubernetes:
        return Kubernetes("prod", **{"client": cluster.client, "retry": QUICK, **settings_})

    return made
