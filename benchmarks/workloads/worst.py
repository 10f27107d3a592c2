"""The worst shapes: policy sets made to be expensive, each with the ordinary case's kind of events."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from workloads.model import INTEGER, NUMBER, Workload, event_template, policies_text, policy

_FEW = 4
_TEAMS = 50
_POLICIES_A_KEY = 5


def _flag(number: int) -> dict[str, Any]:
    # Flags of one policy merge where they are equal; contents of their own keep them apart.
    return {"makeRedFlag": {"severity": "info", "content": f"flag {number}"}}


def _event(**words: Any) -> str:
    return event_template(
        cluster={"name": words.get("cluster", "prod-1"), "uid": "clus:1"},
        machine={"hostname": "node-1", "uid": "mach:1"},
        namespace={"name": words.get("namespace", "shop"), "labels": {"team": words.get("team", "team-1")}},
        pod={"name": f"pod-{NUMBER}", "uid": f"pod:{NUMBER}", "labels": words.get("labels", {"app": "web"})},
        container={"image": words.get("image", "registry.example/app-1:1"), "containerID": f"id-{NUMBER}"},
        process={
            "name": "tool",
            "exe": words.get("exe", "/bin/tool-1"),
            "euser": words.get("user", "root"),
            "pid": INTEGER,
            "uid": f"proc:{NUMBER}",
        },
    )


def one_policy_of_5000_actions(count: int = 5_000) -> Workload:
    """Every one of the actions fires for root; no two are equal."""
    entries = [
        {
            "makeRedFlag": {
                "severity": "info",
                "content": f"flag {n}",
                "processSelector": {"euser": ["root", f"user-{n}"]},
            }
        }
        for n in range(count)
    ]
    spec = {"mode": "audit", "clusterSelector": {"name": "prod-*"}, "response": {"actions": entries}}
    contexts = [_event(exe=f"/bin/tool-{n}") for n in range(50)]
    openings = [_event(cluster=f"prod-{NUMBER}")]
    return Workload(
        "one policy, 5,000 actions", policies_text(iter([policy("big", "cluster", spec)])), contexts, openings
    )


def one_namespace(count: int = 10_000) -> Workload:
    """All policies name the same cluster and namespace, so that all are in scope; four fire on each exe."""

    def documents() -> Iterator[dict[str, Any]]:
        for number in range(count):
            exe = {"exe": [f"/bin/tool-{number // _FEW}", f"/srv/tool-{number // _FEW}/*"]}
            spec = {
                "mode": "enforce",
                "containerSelector": {"image": "registry.example/*"},
                "clusterSelector": {"name": "prod-1"},
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}},
                "response": {"actions": [{"makeRedFlag": {**_flag(0)["makeRedFlag"], "processSelector": exe}}]},
            }
            yield policy(f"policy-{number}", "container", spec)

    contexts = [_event(exe=f"/bin/tool-{n}") for n in range(count // _FEW)]
    openings = [_event(exe=f"/srv/tool-{n}/{NUMBER}") for n in range(count // _FEW)]
    return Workload(
        "all policies in scope of one namespace", policies_text(documents()), contexts[:500], openings[:500]
    )


def one_namespace_of_apps(count: int = 10_000) -> Workload:
    """All policies name the same cluster and namespace, and four each image, so that few are in scope."""

    def documents() -> Iterator[dict[str, Any]]:
        for number in range(count):
            app = f"registry.example/app-{number // _FEW}"
            spec = {
                "mode": "enforce",
                "clusterSelector": {"name": "prod-1"},
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}},
                "containerSelector": {"image": [f"{app}:1", f"{app}:2-*"]},
                "response": {"default": [_flag(0)]},
            }
            yield policy(f"policy-{number}", "container", spec)

    contexts = [_event(image=f"registry.example/app-{n}:1") for n in range(count // _FEW)]
    openings = [_event(image=f"registry.example/app-{n}:2-{NUMBER}") for n in range(count // _FEW)]
    text = policies_text(documents())
    return Workload("all policies in one namespace, an app each", text, contexts[:500], openings[:500])


def many_globs(count: int = 10_000) -> Workload:
    """Distinct globs on one field: by prefix, suffix and both; four match each image."""

    def glob(number: int) -> str:
        app = number // _FEW
        shapes = (f"registry.example/app-{app}:*", f"*/app-{app}:?*", f"*app-{app}:*", f"registry.*/app-{app}:[0-9]*")
        return shapes[number % _FEW]

    def documents() -> Iterator[dict[str, Any]]:
        for number in range(count):
            spec = {"mode": "audit", "containerSelector": {"image": glob(number)}, "response": {"default": [_flag(0)]}}
            yield policy(f"policy-{number}", "container", spec)

    apps = range(count // _FEW)
    contexts = [_event(image=f"registry.example/app-{n}:1.2") for n in apps]
    openings = [_event(image=f"registry.example/app-{n}:{NUMBER}") for n in apps]
    return Workload("10,000 distinct globs on one field", policies_text(documents()), contexts[:500], openings[:500])


def many_labels(count: int = 1_000) -> Workload:
    """Each policy names one of 200 label keys, and each event has them all."""
    keys = count // _POLICIES_A_KEY

    def documents() -> Iterator[dict[str, Any]]:
        for number in range(count):
            labels = {f"label-{number % keys}": [f"value-{number // keys}", f"open-{number // keys}-*"]}
            spec = {
                "mode": "audit",
                "containerSelector": {"image": "registry.example/*"},
                "podSelector": {"matchLabels": labels},
                "response": {"default": [_flag(0)]},
            }
            yield policy(f"policy-{number}", "container", spec)

    def labels(marked: str, few: int) -> dict[str, str]:
        fire = {(few * 7 + step * 31) % keys for step in range(_FEW)}
        return {f"label-{n}": f"open-1-{n}{marked}" if n in fire else f"none-{n}{marked}" for n in range(keys)}

    contexts = [_event(labels=labels("", n)) for n in range(200)]
    openings = [_event(labels=labels(NUMBER, n), cluster=f"prod-{NUMBER}") for n in range(200)]
    return Workload("200 label keys", policies_text(documents()), contexts, openings)


def only_not_in(count: int = 1_000) -> Workload:
    """Policies that say only which teams they are not for: each is for one of fifty, and for teams never heard of."""

    def documents() -> Iterator[dict[str, Any]]:
        for number in range(count):
            others = [f"team-{n}" for n in range(_TEAMS) if n != number % _TEAMS]
            clause = {"key": "team", "operator": "NotIn", "values": others}
            spec = {
                "mode": "audit",
                "containerSelector": {
                    "matchFieldsExpressions": [{"key": "image", "operator": "NotIn", "values": ["none"]}]
                },
                "namespaceSelector": {"matchExpressions": [clause]},
                "response": {"default": [_flag(0)]},
            }
            yield policy(f"policy-{number}", "container", spec)

    contexts = [_event(team=f"team-{n}") for n in range(_TEAMS)]
    return Workload("only NotIn", policies_text(documents()), contexts, [_event(team=f"new-{NUMBER}")])


def all_match(count: int = 10_000) -> Workload:
    """Every policy is in scope of every event, and its flag fires."""

    def documents() -> Iterator[dict[str, Any]]:
        for number in range(count):
            name = {"key": "name", "operator": "Exists"}
            spec = {
                "mode": "audit",
                "clusterSelector": {"matchFieldsExpressions": [name]},
                "response": {"default": [_flag(0)]},
            }
            yield policy(f"policy-{number}", "cluster", spec)

    return Workload("all policies match", policies_text(documents()), [_event()], [_event(cluster=f"prod-{NUMBER}")])


def pathological(size: int = 1_000_000) -> tuple[Workload, tuple[str, ...]]:
    """Return globs that backtracking matchers never finish, and with them the patterns; values are ``size`` long."""
    globs = ("*a*a*a*a*c*b", f"*{'a' * 40}c*b", "*[ab]a[ab]a?[bc]?c*b", "*a?a?a?c?*b")
    spec = {"mode": "audit", "clusterSelector": {"name": "prod-1"}, "response": {}}
    kill = [{"makeRedFlag": {"severity": "info", "processSelector": {"exe": list(globs)}}}]
    spec["response"] = {"default": [_flag(0)], "actions": kill}
    # It ends as the globs do: none is refused at a glance.
    event = _event(exe=f"{'a' * size}{NUMBER}b")
    return Workload("globs on 1 MB", policies_text(iter([policy("slow", "cluster", spec)])), [event], [event]), globs


#: Each takes how many policies, or actions, to make; the default is the worst.
WORST: tuple[Callable[..., Workload], ...] = (
    one_policy_of_5000_actions,
    one_namespace,
    one_namespace_of_apps,
    many_globs,
    many_labels,
    only_not_in,
    all_match,
)
