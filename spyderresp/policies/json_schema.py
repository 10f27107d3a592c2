"""The JSON Schema of policies, for editors: what strict reading takes, as far as a schema can say it.

Draft 7, which editors' language servers know best. Everything is built from the vocabulary. Written for good messages:
closed objects and conditions in place of alternatives, so that a mistake is marked where it stands. ``errorMessage``,
``patternErrorMessage``, ``markdownDescription`` and the like are words of the language servers; validators pass them
over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from spyderresp.policies.codes import CODES
from spyderresp.policies.vocabulary import (
    ACTION_FIELDS,
    API_VERSION,
    FIELD_ALIASES,
    FIELDS,
    LABEL_SCOPES,
    MODES,
    NAMESPACE_NAME_LABEL,
    NICE_MAX,
    NICE_MIN,
    OPERATORS,
    OTHER_KINDS,
    POLICY_KIND,
    REQUIRED_SELECTOR,
    SELECTORS,
    SEVERITIES,
    SPEC_KEYS,
    TEST_KIND,
    TRACE_TYPE,
    TYPES,
)

Schema = dict[str, Any]


class UnexpressedCheck(NamedTuple):
    """Something on which the schema and strict reading differ, and the codes that strict reading gives for it."""

    codes: tuple[str, ...]
    what: str


#: Where the schema and strict reading differ: it sees typed values, one document at a time, and no text.
EXCEPTIONS: Final = (
    UnexpressedCheck(
        tuple(code for code in CODES if code.startswith("SR0")),
        "the text: syntax, encoding, duplicate keys, aliases, tags, limits, a file or list without a document",
    ),
    UnexpressedCheck(("SR124",), "two policies with one `uid`"),
    UnexpressedCheck(
        (),
        "how a number or null is spelt: `0x10`, `1e1` and `7.0` are integers to an editor and no `priority` here; "
        "`Null` and `NULL` are null to an editor and texts here",
    ),
)

_TEXT: Final[Schema] = {"type": ["string", "number", "boolean"]}
_OPTIONAL_TEXT: Final[Schema] = {"type": ["string", "number", "boolean", "null"]}
_GLOB: Final = "`*` and `?` cross `/`; `[abc]`, `[a-z]`, `[!abc]`; the whole value, case-sensitive"
_ONE_ACTION: Final = "an item holds one action; the action's own keys are indented below it"

_TYPE_MEANINGS: Final = {
    "cluster": "deviations in a Kubernetes cluster; needs a clusterSelector",
    "container": "deviations of a container; needs a containerSelector",
    "linux-service": "deviations of a Linux service; needs a serviceSelector",
    "trace": "suppresses traces, and has no response: not read",
}
_MODE_MEANINGS: Final = {"audit": "plans and executes nothing, flags included", "enforce": "executes"}
_OPERATOR_MEANINGS: Final = {
    "In": "present, and some value matches",
    "NotIn": "absent, or no value matches",
    "Exists": "present; takes no values",
    "DoesNotExist": "absent; takes no values",
}
_ACTION_MEANINGS: Final = {
    "makeRedFlag": "Raises a security flag.",
    "makeOpsFlag": "Raises an operations flag.",
    "agentReniceProcess": "Changes the nice value of the process that deviated.",
    "agentKillProcess": "Kills the process that deviated.",
    "agentKillProcessGroup": "Kills the process that deviated and its process group.",
    "agentKillProcessTree": "Kills the process that deviated and all that it started.",
    "agentKillPod": "Deletes the pod in which it happened.",
}
_SELECTOR_MEANINGS: Final = {
    "cluster": "The cluster of the event, by field.",
    "machine": "The machine of the event, by field.",
    "namespace": f"The namespace of the event, by label. Its name is the label `{NAMESPACE_NAME_LABEL}`.",
    "pod": "The pod of the event, by label.",
    "container": "The container of the event, by field.",
    "service": "The Linux service of the event, by field.",
    "process": "The process of the event, by field.",
}
_SECTION_MEANINGS: Final = {
    "default": "Taken whenever a deviation occurs in the policy's scope. Takes no selectors.",
    "actions": "Taken when the entry's own selectors match, too; each needs at least one.",
}
_SPEC_MEANINGS: Final = {
    "rulesets": "The vendor's rulesets that find the deviations. Kept, not read.",
    "processPolicy": "The vendor's workload policy. Kept, not read.",
    "networkPolicy": "The vendor's workload policy. Kept, not read.",
}


def policy_schema() -> Schema:
    """Return the schema of a policy file: a policy, another document, or a list of documents."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Spyderbat response policies",
        "if": {"type": "array"},
        "then": {"items": _ref("document")},
        "else": {"if": _is_container(), "then": _container(), "else": _ref("document")},
        "definitions": {
            "document": _document(),
            "policy": _policy(),
            "metadata": _metadata(),
            "spec": _spec(),
            "response": _response(),
            **{key: _selector(key, scope) for key, scope in SELECTORS.items()},
            **{f"{action}.default": _body(action, selectors=()) for action in ACTION_FIELDS},
            **{f"{action}.actions": _body(action, selectors=_allowed_selectors(action)) for action in ACTION_FIELDS},
        },
    }


def _ref(name: str) -> Schema:
    return {"$ref": f"#/definitions/{name}"}


def _said(text: str) -> Schema:
    """Return a description, in Markdown too where it has any."""
    plain = {"description": text.replace("`", "")}
    return {**plain, "markdownDescription": text} if "`" in text else plain


def _one_of(words: Iterable[str], meanings: Mapping[str, str] | None = None) -> Schema:
    choice: Schema = {"enum": list(words)}
    return {**choice, "enumDescriptions": [meanings[word] for word in choice["enum"]]} if meanings else choice


def _whole(pattern: str) -> str:
    # In Python `$` stands before a last newline too; in JavaScript, where editors run, it does not.
    return f"^(?:{pattern})$(?!\\n)"


def _closed(properties: Schema, required: Iterable[str] = (), **more: Any) -> Schema:
    """Return the schema of an object that takes these keys and no others."""
    schema = {"type": "object", "properties": properties, "additionalProperties": False, **more}
    needed = list(required)
    return {**schema, "required": needed} if needed else schema


def _is(key: str, word: str) -> Schema:
    return {"required": [key], "properties": {key: {"const": word}}}


def _metadata_is(policy_type: str) -> Schema:
    return {"required": ["metadata"], "properties": {"metadata": {"type": "object", **_is("type", policy_type)}}}


def _is_container() -> Schema:
    kind_of_list = {"properties": {"kind": {"type": "string", "pattern": _whole(r"[\s\S]*List")}}}
    return {"type": "object", "required": ["items"], **kind_of_list}


def _container() -> Schema:
    items = {"type": ["array", "null"], "items": _ref("document"), **_said("Documents, each as in a file of its own.")}
    return _closed({"apiVersion": _TEXT, "kind": {}, "metadata": {}, "items": items}, ["apiVersion", "items"])


def _document() -> Schema:
    kinds = [POLICY_KIND, *sorted(OTHER_KINDS)]
    return {
        "type": "object",
        "title": "document",
        "required": ["apiVersion", "kind"],
        "properties": {
            "apiVersion": {**_TEXT, "default": API_VERSION, **_said(f"`{API_VERSION}` for a policy.")},
            "kind": {
                **_TEXT,
                "default": POLICY_KIND,
                **_said(f"`{POLICY_KIND}` for a policy. The vendor's other kinds and `{TEST_KIND}` are passed over."),
            },
        },
        "if": _is("kind", POLICY_KIND),
        "then": {
            "properties": {"apiVersion": {"const": API_VERSION}, "metadata": {"properties": {"type": _policy_type()}}},
            "if": _metadata_is(TRACE_TYPE),
            "else": _ref("policy"),
        },
        "else": {
            "if": _is("apiVersion", API_VERSION),
            "then": {
                "properties": {"kind": {"enum": kinds, "errorMessage": f"unknown kind; a policy is {POLICY_KIND}"}}
            },
        },
    }


def _policy_type() -> Schema:
    # Stands before the condition on it: while the value is being typed, a language server takes any condition to hold.
    return {**_one_of((*TYPES, TRACE_TYPE), _TYPE_MEANINGS), **_said("What the policy is about.")}


def _policy() -> Schema:
    needs = [
        {
            "if": _metadata_is(kind),
            "then": {
                "properties": {
                    "spec": {
                        "required": [selector],
                        "errorMessage": f"a policy of type {kind} needs a {selector}: it would apply everywhere",
                    }
                }
            },
        }
        for kind, selector in REQUIRED_SELECTOR.items()
    ]
    keys = {"apiVersion": {}, "kind": {}, "metadata": _ref("metadata"), "spec": _ref("spec")}
    return _closed(keys, ["metadata", "spec"], title="policy", allOf=needs)


def _metadata() -> Schema:
    properties = {
        "name": {**_TEXT, **_said("The policy's name, by which plans speak of it and events may be attributed to it.")},
        "type": {},
        "uid": {**_OPTIONAL_TEXT, **_said("The policy's unique id, by which events may be attributed to it.")},
    }
    said = _said("Name, type and uid. Anything else is kept, not read.")
    return {"type": "object", "title": "metadata", **said, "properties": properties, "required": ["name", "type"]}


def _spec() -> Schema:
    read = {
        "enabled": _boolean("Whether the policy takes part. Default: `true`."),
        "mode": {**_one_of(MODES, _MODE_MEANINGS), **_said("Whether the policy's actions are carried out.")},
        **{key: _ref(key) for key in SELECTORS},
        "response": _ref("response"),
    }
    properties = {key: read[key] if key in read else _said(_SPEC_MEANINGS[key]) for key in SPEC_KEYS}
    kept = {"^disable[A-Z]": _said("One of the vendor's workload options. Kept, not read.")}
    said = _said("Scope (selectors, all of which must match), mode and response.")
    return _closed(properties, ["mode"], title="spec", patternProperties=kept, **said)


def _response() -> Schema:
    return {
        "type": ["object", "null"],
        "title": "response",
        **_said("What to do about a deviation."),
        "additionalProperties": False,
        "properties": {
            section: {
                "type": ["array", "null"],
                **_said(meaning),
                "items": {
                    **_closed({action: _ref(f"{action}.{section}") for action in ACTION_FIELDS}),
                    "minProperties": 1,
                    "maxProperties": 1,
                    "errorMessage": _ONE_ACTION,
                },
            }
            for section, meaning in _SECTION_MEANINGS.items()
        },
    }


def _allowed_selectors(action: str) -> tuple[str, ...]:
    return tuple(key for key in SELECTORS if not (action == "agentKillPod" and key == "serviceSelector"))


def _body(action: str, *, selectors: tuple[str, ...]) -> Schema:
    """Return the schema of an action's keys; no selectors are those of a default action."""
    fields = _parameters()
    required = [field for field in ACTION_FIELDS[action] if field in ("severity", "priority")]
    properties = {
        **{field: fields[field] for field in ACTION_FIELDS[action]},
        "enabled": _boolean("`false` removes the entry. Default: `true`."),
        **{key: _ref(key) for key in selectors},
    }
    body = _closed(properties, required, title=action, **_said(_ACTION_MEANINGS[action]))
    if not selectors:
        return body if required else {**body, "type": ["object", "null"]}
    # One selector is named as required, since that is what gives a message at the place; any of them will do.
    return {
        **body,
        "if": {"type": "object", "properties": dict.fromkeys(selectors, False)},
        "then": {
            "required": ["processSelector"],
            "errorMessage": f"{action} under actions needs a selector, such as processSelector; "
            "without one it belongs under default",
        },
    }


def _parameters() -> dict[str, Schema]:
    """Return the schemas of the actions' own fields."""
    return {
        "severity": {**_one_of(SEVERITIES), **_said("How grave it is.")},
        "impact": {**_OPTIONAL_TEXT, **_said("What it means for the workload. The vendor takes 100 characters.")},
        "content": {**_OPTIONAL_TEXT, **_said("What to do, in Markdown. The vendor takes 350 characters.")},
        "description": {**_OPTIONAL_TEXT, **_said("What happened. The vendor takes 350 characters.")},
        "priority": {
            "type": ["integer", "string"],
            "minimum": NICE_MIN,
            "maximum": NICE_MAX,
            "pattern": _whole(r"\+?0*1?[0-9]|-0*(?:1?[0-9]|20)"),
            "patternErrorMessage": f"must be an integer from {NICE_MIN} to {NICE_MAX}",
            **_said(f"A nice value from {NICE_MIN} to {NICE_MAX}; a higher one yields more."),
        },
    }


def _boolean(text: str) -> Schema:
    words = ("true", "false", "yes", "no", "on", "off")
    spellings = [spelling for word in words for spelling in (word, word.capitalize(), word.upper())]
    return {
        "type": ["boolean", "string"],
        "pattern": _whole("|".join(spellings)),
        "errorMessage": "must be true or false",
        **_said(text),
    }


def _values(text: str) -> Schema:
    return {"type": ["string", "number", "boolean", "array"], "items": _TEXT, "minItems": 1, **_said(text)}


def _selector(key: str, scope: str) -> Schema:
    labels = scope in LABEL_SCOPES
    one, several = ("matchLabels", "matchExpressions") if labels else ("matchFields", "matchFieldsExpressions")
    fields = FIELDS[scope]
    value = _values(f"A value, or a list of which one must match. Globs: {_GLOB}.")
    named: Schema = {"properties": dict.fromkeys(fields, value), "additionalProperties": False}
    matches = {
        "type": ["object", "null"],
        **({"additionalProperties": value} if labels else named),
        **_said(f"Each {'label' if labels else 'field'} must be present and its value match."),
    }
    expressions = {
        "type": ["array", "null"],
        "items": _expression(fields),
        **_said("Each expression must hold."),
    }
    aliases = {alias: {**value, "doNotSuggest": True} for owner, alias in FIELD_ALIASES if owner == scope}
    properties = {one: matches, several: expressions, **dict.fromkeys(fields, value), **aliases}
    nothing: Schema = {
        **dict.fromkeys(properties, False),
        one: {"type": ["object", "null"], "maxProperties": 0},
        several: {"type": ["array", "null"], "maxItems": 0},
    }
    return {
        **_closed(properties, title=key, **_said(f"{_SELECTOR_MEANINGS[scope]} All that stands here must match.")),
        "if": {"type": "object", "properties": nothing},
        "then": {
            "required": [one],
            "properties": {one: {"type": "object", "minProperties": 1, "errorMessage": f"{key} is empty"}},
            "errorMessage": f"{key} is empty: name what it selects, or leave it out",
        },
    }


def _expression(fields: tuple[str, ...]) -> Schema:
    properties = {
        "key": {**(_one_of(fields) if fields else _TEXT), **_said("The field or label it is about; never a glob.")},
        "operator": {**_one_of(OPERATORS, _OPERATOR_MEANINGS), **_said("What must hold of it.")},
        "values": {
            "type": ["array", "null"],
            "items": _TEXT,
            **_said(f"For `In` and `NotIn`: any of them. Globs: {_GLOB}."),
        },
    }
    valued = {"required": ["operator"], "properties": {"operator": {"enum": ["In", "NotIn"]}}}
    return {
        **_closed(properties, ["key", "operator"], title="expression"),
        "if": valued,
        "then": {
            "required": ["values"],
            "properties": {"values": {"type": "array", "minItems": 1}},
            "errorMessage": "In and NotIn need a list of values",
        },
        "else": {"properties": {"values": {"maxItems": 0}}},
    }
