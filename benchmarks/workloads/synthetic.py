"""Policy sets of any size in which each event finds about as many policies, and about four actions fire.

Each app has three policies: one on its image, one on its pods, one on its team's namespaces. One app in four is a
service of a host. One app in six is open: its policies select by globs, ``NotIn`` and presence alone, so events full of
values never seen still find them. What an event of an app finds does not depend on how many other apps there are.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from workloads.model import INTEGER, NUMBER, Workload, event_template, policies_text, policy

CLUSTERS = 8
CONTEXTS = 2_000
OPENINGS = 1_000
_OF_APP = 3
_SEVERITIES = ("critical", "high", "medium", "low", "info")
_TOOLS = ("/usr/bin/curl", "/usr/bin/wget", "/bin/bash", "/usr/bin/nc", "/usr/bin/python3.11", "/usr/bin/apt-get")
_USERS = ("root", "root", "www-data", "nobody")


def synthetic(size: int, *, seed: int = 7, contexts: int = CONTEXTS) -> Workload:
    """Return a workload of ``size`` policies, from 12 on, whose repeating stream has so many contexts."""
    if size < 12:
        raise ValueError("below 12 policies there is no app of each kind")
    draw = random.Random(seed)
    apps = [App(number, draw) for number in range(-(-size // _OF_APP))]
    documents = [document for app in apps for document in app.policies(draw)][:size]
    draw.shuffle(documents)
    # An app whose last policies fell off would fire less than the others.
    whole = apps[: size // _OF_APP]
    opened = [app for app in whole if app.opened]
    return Workload(
        name=f"synthetic, {size:,} policies",
        text=policies_text(iter(documents)),
        contexts=[draw.choice(whole).context(draw) for _ in range(contexts)],
        openings=[draw.choice(opened).opening(draw) for _ in range(min(contexts, OPENINGS))],
    )


class App:
    """One app: where it runs, its policies, and its events."""

    def __init__(self, number: int, draw: random.Random) -> None:
        self.name = f"app-{number}"
        self.service = number % 4 == 3
        self.opened = number % 6 == 1
        self.image = f"registry.example/team-{number % 97}/{self.name}"
        self.clusters = draw.sample([f"prod-{n}" for n in range(CLUSTERS)], 2)
        self.namespace = f"ns-{number // 5}"
        self.team = f"team-of-{self.name}"
        self.unit = f"systemd:/system.slice/{self.name}"

    def policies(self, draw: random.Random) -> Iterator[dict[str, Any]]:
        of_workload = self._service_scope() if self.service else self._container_scope()
        kind = "linux-service" if self.service else "container"
        yield policy(
            f"{self.name}-tools",
            kind,
            {
                "mode": draw.choice(("audit", "enforce")),
                **of_workload,
                "clusterSelector": {"name": "prod-*" if self.opened else self.clusters},
                "response": {
                    "default": [self._flag("makeRedFlag", draw, "a process that this workload never ran")],
                    "actions": [{"agentKillProcess": {"processSelector": {"exe": self._tools()}}}],
                },
            },
        )
        yield policy(
            f"{self.name}-load",
            kind,
            {
                "mode": draw.choice(("audit", "enforce")),
                **of_workload,
                **({} if self.service else {"podSelector": {"matchExpressions": self._pod_clauses()}}),
                "response": {
                    "default": [self._flag("makeOpsFlag", draw, "more work than planned")],
                    "actions": [
                        {
                            "agentReniceProcess": {
                                "priority": draw.randrange(5, 20),
                                "processSelector": {"name": ["*-worker", "batch-*"] if self.opened else ["worker"]},
                            }
                        },
                        {"makeRedFlag": {"severity": "low", "processSelector": {"euser": ["root", "uid-*"]}}},
                    ],
                },
            },
        )
        stateless = {"key": "stateful", "operator": "DoesNotExist"}
        yield policy(
            f"{self.name}-team",
            kind,
            {
                "mode": draw.choice(("audit", "enforce")),
                "clusterSelector": {"name": "prod-*" if self.opened else self.clusters},
                **self._team_scope(),
                "response": {
                    # Open apps fire this much by their globs.
                    "default": [] if self.opened else [self._flag("makeOpsFlag", draw, "tell the team")],
                    "actions": [
                        {
                            "agentKillProcessGroup" if self.service else "agentKillPod": {
                                **({} if self.service else {"podSelector": {"matchExpressions": [stateless]}}),
                                "processSelector": {"exe": ["/tmp/*", "/dev/shm/*", *_TOOLS[:2]]},
                            }
                        },
                        {
                            "agentKillProcessTree": {
                                "enabled": draw.random() > 0.02,
                                "processSelector": {"name": ["nc", "xmrig", "kworkerds"]},
                            }
                        },
                    ],
                },
            },
        )

    def _flag(self, name: str, draw: random.Random, content: str) -> dict[str, Any]:
        return {name: {"severity": draw.choice(_SEVERITIES), "content": f"{self.name}: {content}"}}

    def _container_scope(self) -> dict[str, Any]:
        images = f"{self.image}:*" if self.opened else [f"{self.image}:1.{minor}" for minor in range(3)]
        env = {"key": "env", "operator": "NotIn", "values": ["dev", "test"]}
        scope: dict[str, Any] = {
            "containerSelector": {"image": images},
            "namespaceSelector": {"matchExpressions": [env]},
        }
        if not self.opened:
            scope["namespaceSelector"]["matchLabels"] = {"kubernetes.io/metadata.name": self.namespace}
        return scope

    def _service_scope(self) -> dict[str, Any]:
        cgroup = f"{self.unit}@*" if self.opened else f"{self.unit}.service"
        return {"serviceSelector": {"cgroup": cgroup}, "machineSelector": {"hostname": "*.internal"}}

    def _team_scope(self) -> dict[str, Any]:
        if self.opened and self.service:
            return {"serviceSelector": {"cgroup": f"{self.unit}@*"}}
        if self.service:
            return {"serviceSelector": {"name": f"{self.name}.service"}}
        scope: dict[str, Any] = {
            "containerSelector": {"matchFieldsExpressions": [{"key": "image", "operator": "Exists"}]}
        }
        if not self.opened:
            return {**scope, "namespaceSelector": {"matchLabels": {"team": self.team}}}
        clauses = [{"key": "team", "operator": "Exists"}, {"key": "env", "operator": "NotIn", "values": ["dev"]}]
        return {
            **scope,
            "namespaceSelector": {"matchExpressions": clauses},
            "podSelector": {"matchLabels": {"app": f"{self.name}-*"}},
        }

    def _pod_clauses(self) -> list[dict[str, Any]]:
        own = f"{self.name}-*" if self.opened else self.name
        return [
            {"key": "app", "operator": "In", "values": [own]},
            {"key": "tier", "operator": "Exists"},
            {"key": "canary", "operator": "DoesNotExist"},
        ]

    def _tools(self) -> list[str]:
        if self.opened:
            return [f"/srv/{self.name}/*", "/tmp/*"]
        return [f"/opt/{self.name}/bin/debug", *_TOOLS[:4]]

    def context(self, draw: random.Random) -> str:
        """Return the template of one of the app's workloads, whose named values repeat."""
        exe = draw.choice((*_TOOLS, f"/opt/{self.name}/bin/worker", f"/srv/{self.name}/debug"))
        suffix = "-0" if self.opened else ""
        unit = f"{self.name}@0.service" if self.opened else f"{self.name}.service"
        return self._event(
            cluster=draw.choice(self.clusters) if draw.random() < 0.9 else f"prod-{draw.randrange(CLUSTERS)}",
            host=f"ip-10-0-{draw.randrange(16)}-{draw.randrange(256)}.internal",
            namespace=self.namespace,
            team=self.team,
            env="prod" if draw.random() < 0.9 else "dev",
            app=self.name + suffix,
            tier="backend",
            tag=f"1.{draw.randrange(3)}",
            unit=unit,
            name=exe.rpartition("/")[2],
            exe=exe,
            user=draw.choice(_USERS),
        )

    def opening(self, draw: random.Random) -> str:
        """Return the template of an event in which no named value was ever seen."""
        path = draw.choice((f"/srv/{self.name}/", f"/srv/{self.name}/", "/tmp/", "/usr/bin/"))
        return self._event(
            cluster=f"prod-{NUMBER}",
            host=f"ip-{NUMBER}.internal",
            namespace=f"ns-new-{NUMBER}",
            team=f"team-{NUMBER}",
            env=f"env-{NUMBER}",
            app=f"{self.name}-{NUMBER}",
            tier=f"tier-{NUMBER}",
            tag=NUMBER,
            unit=f"{self.name}@{NUMBER}.service",
            name=draw.choice((f"{NUMBER}-worker", f"tool-{NUMBER}")),
            exe=f"{path}{NUMBER}",
            user=draw.choice((f"uid-{NUMBER}", f"user-{NUMBER}")),
        )

    def _event(self, **words: str) -> str:
        scopes: dict[str, Any] = {
            "cluster": {"name": words["cluster"], "uid": "clus:Vy2hXw"},
            "machine": {"hostname": words["host"], "uid": f"mach:{NUMBER}"},
        }
        if self.service:
            scopes["service"] = {"name": words["unit"], "cgroup": f"systemd:/system.slice/{words['unit']}"}
        else:
            labels = {"team": words["team"], "env": words["env"], "owner": "platform@example.com"}
            scopes["namespace"] = {"name": words["namespace"], "labels": labels}
            scopes["pod"] = {
                "name": f"{self.name}-7d9c5b8f6d-{NUMBER}",
                "uid": f"pod:{NUMBER}",
                "kuid": f"a8f2f824-0000-4000-8000-{NUMBER}",
                "labels": {"app": words["app"], "tier": words["tier"], "pod-template-hash": "7d9c5b8f6d"},
            }
            scopes["container"] = {
                "image": f"{self.image}:{words['tag']}",
                "imageID": "sha256:4b825dc642cb6eb9a060e54bf8d69288fbee4904",
                "containerName": self.name,
                "containerID": f"74210ef01a9a{NUMBER}",
            }
        scopes["process"] = {
            "name": words["name"],
            "exe": words["exe"],
            "euser": words["user"],
            "pid": INTEGER,
            "ppid": 1,
            "uid": f"proc:g3:Z-FpxA:{NUMBER}",
            "args": [words["exe"], "--config", "/etc/app.conf"],
        }
        return event_template(**scopes)
