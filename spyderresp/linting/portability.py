"""What the vendor's own command line refuses and this project takes (spyctl 0.24, ``schemas_v2``): notes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from spyderresp.findings import listed, quoted
from spyderresp.linting.documents import Node, child, key_of
from spyderresp.linting.subject import Remark, Subject
from spyderresp.policy import Entry
from spyderresp.vocabulary import FIELDS, SELECTORS

_NEEDED: Final = {
    "cluster": ("rulesets", "response"),
    "container": ("processPolicy", "networkPolicy", "response"),
    "linux-service": ("processPolicy", "networkPolicy", "response"),
}
_REFUSED: Final = {
    "cluster": ("processPolicy", "networkPolicy"),
    "container": ("rulesets",),
    "linux-service": ("rulesets",),
}
_SPELT: Final = ("true", "false", "yes", "no", "on", "off", "~", "null")


def needed_keys(subject: Subject) -> Iterator[Remark]:
    """Keys of ``spec`` and ``response`` that must be there, or must not."""
    spec, kind = child(subject.document, "spec"), subject.policy.type
    place = key_of(subject.document, "spec")
    if spec is None or place is None:
        return
    missing = [key for key in _NEEDED[kind] if key_of(spec, key) is None]
    if missing:
        message = f"the vendor needs {listed(missing)} in a {kind} policy"
        yield Remark("SR521", message, place[1], place[2])
    for key in _REFUSED[kind]:
        found = key_of(spec, key)
        if found is not None:
            yield Remark("SR522", f"the vendor takes no {quoted(key)} in a {kind} policy", found[1], found[2])
    response = key_of(spec, "response")
    if response is None:
        return
    for section in ("default", "actions"):
        held = child(spec, "response", section)
        if held is None or held[0] is None:
            message = f"the vendor needs {quoted(section)} in `response`, be it empty"
            yield Remark("SR521", message, response[1], response[2], help=f"write `{section}: []`")


def refused_keys(subject: Subject) -> Iterator[Remark]:
    """Keys of flags: no ``description`` on makeRedFlag, no ``enabled`` on a makeOpsFlag under ``default``."""
    for entry in subject.policy.entries:
        key = _refused(entry)
        found = key_of(subject.body(entry), key) if key else None
        if found is not None:
            message = f"the vendor's {quoted(entry.action)} takes no {quoted(key)}"
            where = " under `default`" if key == "enabled" else ""
            yield Remark("SR522", message + where, found[1], found[2])


def _refused(entry: Entry) -> str:
    if entry.action == "makeRedFlag":
        return "description"
    return "enabled" if entry.action == "makeOpsFlag" and entry.section == "default" else ""


def texts_only(subject: Subject) -> Iterator[Remark]:
    """Values of selectors that YAML reads as a number or a boolean; and lists where one text is due."""
    spec = child(subject.document, "spec")
    for body in (spec, *(subject.body(entry) for entry in subject.policy.entries)):
        held: Any = body[0] if body is not None else None
        if not isinstance(held, dict):
            continue
        for key, (_, selector) in held.items():
            if key.endswith("Selector") and isinstance(selector[0], dict):
                yield from _selector(subject, key, selector)


def _selector(subject: Subject, name: str, selector: Node) -> Iterator[Remark]:
    for key, (_, value) in selector[0].items():
        if key in ("matchLabels", "matchFields") and isinstance(value[0], dict):
            for _, below in value[0].values():
                if isinstance(below[0], list):
                    yield _remark(f"the vendor takes one text under {quoted(key)}, not a list", below)
                else:
                    yield from _typed(subject, below)
        elif isinstance(value[0], list) and key in ("matchExpressions", "matchFieldsExpressions"):
            for item in value[0]:
                values = child(item, "values")
                if values is not None and isinstance(values[0], list):
                    for one in values[0]:
                        yield from _typed(subject, one)
        else:
            yield from _direct(name, key, value)


def _direct(name: str, key: str, value: Node) -> Iterator[Remark]:
    """Say where a field directly under a selector is a list and the vendor takes a text, or the other way round."""
    scope = SELECTORS.get(name, "")
    if key not in FIELDS.get(scope, ()):
        return
    if scope == "process" and isinstance(value[0], str):
        yield _remark(f"the vendor takes a list under {quoted(key)} of {quoted(name)}", value)
    elif scope in ("container", "service") and isinstance(value[0], list):
        yield _remark(f"the vendor takes one text under {quoted(key)} of {quoted(name)}, not a list", value)


def _typed(subject: Subject, node: Node) -> Iterator[Remark]:
    value, start, end = node
    typed = subject.documents.source.text[start:end]
    if isinstance(value, str) and typed == value and (value.lower() in _SPELT or _is_number(value)):
        yield _remark(f"YAML reads {quoted(value)} as no text, and the vendor takes texts only; quote it", node)


def _is_number(text: str) -> bool:
    try:
        float(text.replace("_", ""))
    except ValueError:
        return False
    return text[:1] in "+-.0123456789"


def _remark(message: str, node: Node) -> Remark:
    return Remark("SR523", message, node[1], node[2])
