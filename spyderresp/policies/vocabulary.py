"""The words of the policy language: scopes, fields, actions, and what may stand where.

Source of every table: the normative semantics (docs/POLICY.md); the vendor's policy-type table is its CLI's
(spyctl, ``schemas_v2.py``) together with its response-actions page.
"""

from __future__ import annotations

from typing import Final, Literal

#: What is to become of a planned action.
Disposition = Literal["execute", "audit", "superseded", "not_applicable"]
Operator = Literal["In", "NotIn", "Exists", "DoesNotExist"]
Section = Literal["default", "actions"]
Mode = Literal["audit", "enforce"]
#: What became of an event's attribution to a policy.
Outcome = Literal["matched", "unknown", "disabled"]

API_VERSION: Final = "spyderbat/v1"
TEST_API_VERSION: Final = "spyderresp/v1"
POLICY_KIND: Final = "SpyderbatPolicy"
TEST_KIND: Final = "ResponseTest"

#: Kinds the vendor publishes under its apiVersion, that hold no response policy.
OTHER_KINDS: Final = frozenset(
    {
        "APISecret",
        "AgentHealthNotification",
        "Config",
        "FingerprintGroup",
        "GuardianDeviation",
        "NotificationConfigTemplate",
        "NotificationConfiguration",
        "NotificationTarget",
        "NotificationTemplate",
        "SpyderbatBaseline",
        "SpyderbatCustomFlag",
        "SpyderbatFingerprint",
        "SpyderbatRuleset",
        "SpyderbatSavedQuery",
        "SpyderbatSearchSet",
        "UidList",
    }
)

#: Every scope of an event, in the order of the normal form, with the fields a selector may name. Namespace and pod
#: have none: they are selected by label.
FIELDS: Final[dict[str, tuple[str, ...]]] = {
    "cluster": ("name", "uid"),
    "machine": ("hostname", "sourceName", "uid"),
    "namespace": (),
    "pod": (),
    "container": ("image", "imageID", "containerName", "containerID"),
    "service": ("name", "cgroup"),
    "process": ("name", "exe", "euser"),
}
SCOPES: Final = tuple(FIELDS)
LABEL_SCOPES: Final = frozenset({"namespace", "pod"})
#: Selector key to scope: ``processSelector`` to ``process``.
SELECTORS: Final = {f"{scope}Selector": scope for scope in SCOPES}
#: Spellings accepted directly under a selector, and there only.
FIELD_ALIASES: Final = {("machine", "machineUID"): "uid"}
#: The label that a namespace's ``name`` implies.
NAMESPACE_NAME_LABEL: Final = "kubernetes.io/metadata.name"

FIELD_PRIMITIVES: Final = ("matchFields", "matchFieldsExpressions")
LABEL_PRIMITIVES: Final = ("matchLabels", "matchExpressions")
PRIMITIVES: Final = (*FIELD_PRIMITIVES, *LABEL_PRIMITIVES)
EXPRESSION_KEYS: Final = ("key", "operator", "values")
OPERATORS: Final = ("In", "NotIn", "Exists", "DoesNotExist")

TYPES: Final = ("cluster", "container", "linux-service")
TRACE_TYPE: Final = "trace"
#: The selector that a policy of each type must have.
REQUIRED_SELECTOR: Final = {
    "cluster": "clusterSelector",
    "container": "containerSelector",
    "linux-service": "serviceSelector",
}
#: YAML's spellings of a boolean, in lower case.
TRUE: Final = frozenset({"true", "yes", "on"})
FALSE: Final = frozenset({"false", "no", "off"})
MODES: Final = ("audit", "enforce")
SEVERITIES: Final = ("critical", "high", "medium", "low", "info")

TOP_KEYS: Final = ("apiVersion", "kind", "metadata", "spec")
#: The keys of a list of documents.
LIST_KEYS: Final = ("apiVersion", "kind", "metadata", "items")
SPEC_KEYS: Final = ("enabled", "mode", *SELECTORS, "rulesets", "response", "processPolicy", "networkPolicy")

FLAG_TEXTS: Final = ("impact", "content", "description")
#: The fields of each action, its selectors and ``enabled`` apart, in the order in which a plan prints them.
ACTION_FIELDS: Final[dict[str, tuple[str, ...]]] = {
    "makeRedFlag": ("severity", *FLAG_TEXTS),
    "makeOpsFlag": ("severity", *FLAG_TEXTS),
    "agentReniceProcess": ("priority",),
    "agentKillProcess": (),
    "agentKillProcessGroup": (),
    "agentKillProcessTree": (),
    "agentKillPod": (),
}
ACTIONS: Final = tuple(ACTION_FIELDS)
FLAGS: Final = frozenset({"makeRedFlag", "makeOpsFlag"})
#: Evidence comes before destruction, the local and instant before the remote and slow.
STAGES: Final = {
    "makeRedFlag": 0,
    "makeOpsFlag": 0,
    "agentReniceProcess": 1,
    "agentKillProcess": 2,
    "agentKillProcessGroup": 2,
    "agentKillProcessTree": 2,
    "agentKillPod": 3,
}
#: What an action acts on, where it acts on anything: the scope an event must have for it to apply.
TARGET_SCOPE: Final = {
    "agentReniceProcess": "process",
    "agentKillProcess": "process",
    "agentKillProcessGroup": "process",
    "agentKillProcessTree": "process",
    "agentKillPod": "pod",
}

NICE_MIN: Final = -20
NICE_MAX: Final = 19

#: The vendor takes no more characters than these.
VENDOR_TEXT_LIMITS: Final = {"impact": 100, "content": 350, "description": 350}
#: Policy-level selectors the vendor's own policies of each type may have.
VENDOR_SELECTORS: Final = {
    "cluster": frozenset({"clusterSelector"}),
    "container": frozenset(
        {"clusterSelector", "containerSelector", "machineSelector", "namespaceSelector", "podSelector"}
    ),
    "linux-service": frozenset({"clusterSelector", "machineSelector", "serviceSelector"}),
}
#: Actions the vendor does not offer for a type.
VENDOR_REFUSED_ACTIONS: Final = {
    "cluster": frozenset[str](),
    "container": frozenset[str](),
    "linux-service": frozenset({"agentKillPod"}),
}


def is_workload_key(key: str) -> bool:
    """Tell whether a key of ``spec`` is one of the vendor's ``disable...`` options: kept, not read.

    ``disabled`` and ``disable`` are not: an author who writes them means ``enabled: false``.
    """
    return key.startswith("disable") and key[7:8].isupper()
