"""The JSON Schema of policies, for editors: what strict reading takes, as far as a schema can say it.

Draft 7, which editors' language servers know best. Everything is built from the vocabulary. Written for good messages:
closed objects and conditions in place of large alternatives, so that a mistake is marked where it stands.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from spyderresp.vocabulary import (
    ACTION_FIELDS,
    API_VERSION,
    FIELD_ALIASES,
    FIELDS,
    LABEL_SCOPES,
    MODES,
    NICE_MAX,
    NICE_MIN,
    OPERATORS,
    OTHER_KINDS,
    POLICY_KIND,
    REQUIRED_SELECTOR,
    SELECTORS,
    SEVERITIES,
    TRACE_TYPE,
    TYPES,
)

Schema = dict[str, Any]

#: What strict reading refuses, or takes, and a schema cannot tell: it sees typed values, one document at a time.
EXCEPTIONS: Final = (
    ("duplicate keys, unknown tags and aliases, syntax", "they are gone once the text is parsed"),
    ("two policies with one uid or one name", "a schema sees no second document"),
    (
        "how a number or null is spelled: `0x10`, `1e1`, `7.0` as a priority; `Null`, which is a text here",
        "editors type values as YAML 1.2 does before the schema sees them",
    ),
)

_TEXT: Final[Schema] = {"type": ["string", "number", "boolean"]}
_OPTIONAL_TEXT: Final[Schema] = {"type": ["string", "number", "boolean", "null"]}
_VALUES: Final[Schema] = {"type": ["string", "number", "boolean", "array"], "items": _TEXT, "minItems": 1}
_BOOLEAN: Final[Schema] = {
    "enum": [
        True,
        False,
        *(
            spelling
            for word in ("true", "false", "yes", "no", "on", "off")
            for spelling in (word, word.capitalize(), word.upper())
        ),
    ],
    "description": "true or false",
}
_PRIORITY: Final[Schema] = {
    "type": ["integer", "string"],
    "minimum": NICE_MIN,
    "maximum": NICE_MAX,
    "pattern": r"^(\+?0*1?[0-9]|-0*(1?[0-9]|20))$",
    "description": f"a nice value from {NICE_MIN} to {NICE_MAX}; higher yields more",
}
_DESCRIPTIONS: Final = {
    "makeRedFlag": "raise a security flag",
    "makeOpsFlag": "raise an operations flag",
    "agentReniceProcess": "change the priority of the process that deviated",
    "agentKillProcess": "kill the process that deviated",
    "agentKillProcessGroup": "kill the process that deviated, and its process group",
    "agentKillProcessTree": "kill the process that deviated, and all that it started",
    "agentKillPod": "delete the pod in which it happened",
}


def policy_schema() -> Schema:
    """Return the schema of a policy file: a policy, another document, or a list of documents."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Spyderbat response policies",
        "if": {"type": "array"},
        "then": {"minItems": 1, "items": _ref("document")},
        "else": {
            "if": _is_container(),
            "then": _container(),
            "else": _ref("document"),
        },
        "definitions": {
            "document": _document(),
            "policy": _policy(),
            "metadata": _metadata(),
            "spec": _spec(),
            "response": _response(),
            **{key: _selector(scope) for key, scope in SELECTORS.items()},
            **{f"{action}.default": _body(action, selectors=()) for action in ACTION_FIELDS},
            **{f"{action}.actions": _body(action, selectors=_allowed_selectors(action)) for action in ACTION_FIELDS},
        },
    }


def _ref(name: str) -> Schema:
    return {"$ref": f"#/definitions/{name}"}


def _closed(properties: Schema, required: Iterable[str] = (), **more: Any) -> Schema:
    """Return the schema of an object that takes these keys and no others."""
    schema = {"type": "object", "properties": properties, "additionalProperties": False, **more}
    needed = list(required)
    return {**schema, "required": needed} if needed else schema


def _is(key: str, word: str) -> Schema:
    return {"required": [key], "properties": {key: {"const": word}}}


def _is_container() -> Schema:
    kind_of_list = {"properties": {"kind": {"type": "string", "pattern": "List$"}}}
    return {"type": "object", "required": ["items"], "anyOf": [{"not": {"required": ["kind"]}}, kind_of_list]}


def _container() -> Schema:
    items = {"type": "array", "minItems": 1, "items": _ref("document")}
    keys = {"apiVersion": _TEXT, "kind": {}, "metadata": {}, "items": items}
    return _closed(keys, ["apiVersion", "items"])


def _document() -> Schema:
    return {
        "type": "object",
        "required": ["apiVersion", "kind"],
        "properties": {"apiVersion": _TEXT, "kind": _TEXT},
        "if": _is("kind", POLICY_KIND),
        "then": {
            "properties": {"apiVersion": {"const": API_VERSION}},
            "if": {"required": ["metadata"], "properties": {"metadata": {"type": "object", **_is("type", TRACE_TYPE)}}},
            "else": _ref("policy"),
        },
        "else": {
            "if": _is("apiVersion", API_VERSION),
            "then": {"properties": {"kind": {"enum": [POLICY_KIND, *sorted(OTHER_KINDS)]}}},
        },
    }


def _policy() -> Schema:
    needs = [
        {
            "if": {"properties": {"metadata": {"type": "object", **_is("type", kind)}}},
            "then": {"properties": {"spec": {"required": [selector]}}},
        }
        for kind, selector in REQUIRED_SELECTOR.items()
    ]
    keys = {"apiVersion": {}, "kind": {}, "metadata": _ref("metadata"), "spec": _ref("spec")}
    return _closed(keys, ["metadata", "spec"], allOf=needs)


def _metadata() -> Schema:
    properties = {
        "name": {**_TEXT, "description": "the policy's name; an event may be attributed to it"},
        "type": {"enum": list(TYPES), "description": "what the policy is about"},
        "uid": {**_OPTIONAL_TEXT, "description": "the policy's unique id; an event may be attributed to it"},
    }
    return {"type": "object", "properties": properties, "required": ["name", "type"]}


def _spec() -> Schema:
    properties = {
        "enabled": _BOOLEAN,
        "mode": {"enum": list(MODES), "description": "audit: plan and execute nothing; enforce: execute"},
        **{key: _ref(key) for key in SELECTORS},
        "rulesets": {},
        "response": _ref("response"),
        "processPolicy": {},
        "networkPolicy": {},
    }
    return _closed(properties, ["mode"], patternProperties={"^disable[A-Z]": {}})


def _response() -> Schema:
    sections = {
        "default": ("whenever an event is in the policy's scope", "default"),
        "actions": ("when the entry's own selectors match, too", "actions"),
    }
    return {
        "type": ["object", "null"],
        "additionalProperties": False,
        "properties": {
            section: {
                "type": ["array", "null"],
                "description": f"what to do {when}",
                "items": _closed(
                    {action: _ref(f"{action}.{suffix}") for action in ACTION_FIELDS}, minProperties=1, maxProperties=1
                ),
            }
            for section, (when, suffix) in sections.items()
        },
    }


def _allowed_selectors(action: str) -> tuple[str, ...]:
    return tuple(key for key in SELECTORS if not (action == "agentKillPod" and key == "serviceSelector"))


def _body(action: str, *, selectors: tuple[str, ...]) -> Schema:
    fields = ACTION_FIELDS[action]
    kinds = {"severity": {"enum": list(SEVERITIES)}, "priority": _PRIORITY}
    required = [field for field in fields if field in kinds]
    properties = {
        **{field: kinds.get(field, _OPTIONAL_TEXT) for field in fields},
        "enabled": _BOOLEAN,
        **{key: _ref(key) for key in selectors},
    }
    body = _closed(properties, required, description=_DESCRIPTIONS[action])
    if selectors:
        return {**body, "anyOf": [{"required": [key]} for key in selectors]}
    return body if required else {**body, "type": ["object", "null"]}


def _selector(scope: str) -> Schema:
    labels = scope in LABEL_SCOPES
    one, several = ("matchLabels", "matchExpressions") if labels else ("matchFields", "matchFieldsExpressions")
    fields = FIELDS[scope]
    direct = (*fields, *(alias for owner, alias in FIELD_ALIASES if owner == scope))
    matches: Schema = {"type": ["object", "null"], "additionalProperties": _VALUES}
    if not labels:
        matches = {**matches, "properties": dict.fromkeys(fields, _VALUES), "additionalProperties": False}
    properties = {
        one: {**matches, "description": "each key must be present, and its value match one of the globs"},
        several: {"type": ["array", "null"], "items": _expression(fields)},
        **dict.fromkeys(direct, _VALUES),
    }
    some = [
        {"required": [one], "properties": {one: {"type": "object", "minProperties": 1}}},
        {"required": [several], "properties": {several: {"type": "array", "minItems": 1}}},
        *({"required": [field]} for field in direct),
    ]
    return _closed(properties, anyOf=some)


def _expression(fields: tuple[str, ...]) -> Schema:
    key = {"enum": list(fields)} if fields else _TEXT
    properties = {
        "key": key,
        "operator": {"enum": list(OPERATORS)},
        "values": {"type": ["array", "null"], "items": _TEXT},
    }
    valued = {"required": ["operator"], "properties": {"operator": {"enum": ["In", "NotIn"]}}}
    return _closed(
        properties,
        ["key", "operator"],
        **{
            "if": valued,
            "then": {"required": ["values"], "properties": {"values": {"type": "array", "minItems": 1}}},
            "else": {"properties": {"values": {"maxItems": 0}}},
        },
    )
