"""Rules about single policies: kills, portability, unquoted globs, policies without an effect, and folded Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import reduce
from operator import and_
from typing import Any, Final

from spyderresp.authoring.analysis.automata import UndecidedError
from spyderresp.authoring.analysis.regions import Values, of_clause, present_example
from spyderresp.authoring.lint.documents import Node, child, key_of
from spyderresp.authoring.lint.subject import Remark, Subject
from spyderresp.errors import Diagnostic, Edit, Fix
from spyderresp.policies.diagnostics import Source, listed, quoted
from spyderresp.policies.loader import Reading, read_text
from spyderresp.policies.policy_set import Clause, Entry, Selector
from spyderresp.policies.vocabulary import FIELDS, FLAG_TEXTS, SELECTORS, STAGES

# Kills that are probably wider than their author intended.

_FIRST_KILL: Final = STAGES["agentKillProcess"]
# A glob that every value of a field matches: an exe is a resolved path, and a cgroup has this prefix.
_POSSIBLE: Final = {("process", "exe"): "/*", ("service", "cgroup"): "systemd:*"}
_TARGETS: Final = {
    "agentKillPod": "the pod",
    "agentKillProcess": "the process",
    "agentKillProcessGroup": "the process group",
    "agentKillProcessTree": "the process tree",
}


def is_kill(entry: Entry) -> bool:
    """Return whether the action of an entry kills."""
    return STAGES[entry.action] >= _FIRST_KILL


def kills(subject: Subject) -> Iterator[tuple[Entry, str]]:
    """Yield the enabled kills of an enabled policy, each with its target for messages."""
    if subject.policy.enabled:
        yield from (
            (entry, _TARGETS[entry.action]) for entry in subject.policy.entries if entry.enabled and is_kill(entry)
        )


def default_kills(subject: Subject) -> Iterator[Remark]:
    """A kill under ``default`` fires for every deviation in the policy's scope."""
    for entry, target in kills(subject):
        if entry.section != "default":
            continue
        message = f"{quoted(entry.action)} under `default` kills {target} of every deviation in the policy's scope"
        if subject.policy.mode == "enforce":
            hint = "move it to `actions` with a selector, or set `mode: audit` until its plans are known"
            yield subject.remark("SR802", f"{message}, and the policy is in `enforce`", entry.location, help=hint)
        else:
            yield subject.remark("SR801", message, entry.location, help="move it to `actions`, with a selector")


def unscoped_kills(subject: Subject) -> Iterator[Remark]:
    """A kill whose selectors match everything, and a clause of a kill that matches every value."""
    for entry, target in kills(subject):
        clauses = [(selector, clause) for selector in entry.selectors for clause in selector.clauses]
        matching_all = [(selector, clause) for selector, clause in clauses if _matches_all(selector.scope, clause)]
        implied = [pair for pair in clauses if pair not in matching_all and _is_implied(*pair, subject)]
        if clauses and len(matching_all) + len(implied) == len(clauses):
            scopes = listed(dict.fromkeys(selector.scope for selector, _ in clauses))
            reason = "require no more than the policy's own" if implied else "match everything"
            message = (
                f"{quoted(entry.action)} kills {target} of every deviation in the policy's scope that has {scopes}: "
                f"its selectors {reason}"
            )
            yield subject.remark("SR803", message, clauses[0][1].location, help="select the targets by name")
            continue
        for selector, clause in matching_all:
            if clause.operator == "In":
                message = f"{_open_globs(selector.scope, clause)} every value of {quoted(clause.key)}, in a kill"
                hint = "name the values, delete the clause, or write `operator: Exists`"
                yield subject.remark("SR804", message, clause.location, help=hint)


def _matches_all(scope: str, clause: Clause) -> bool:
    """Return whether a clause matches every value, perhaps except the empty text."""
    return clause.operator == "Exists" or (clause.operator == "In" and _match_all(scope, clause.key, clause.values))


def _match_all(scope: str, key: str, globs: Iterable[str]) -> bool:
    """Return whether every possible value of a field, except the empty text, matches one of the globs."""
    if not any("*" in glob for glob in globs):
        return False
    possible = _POSSIBLE.get((scope, key))
    any_of = frozenset({frozenset({possible})} if possible else ())
    try:
        return present_example(Values(False, True, any_of, frozenset({*globs, ""}))) is None
    except UndecidedError:
        return False


def _open_globs(scope: str, clause: Clause) -> str:
    alone = next((glob for glob in clause.values if _match_all(scope, clause.key, (glob,))), None)
    return f"{quoted(alone)} matches" if alone is not None else f"{listed(clause.values)} together match"


def _is_implied(selector: Selector, clause: Clause, subject: Subject) -> bool:
    """Return whether a clause matches every value that the policy's own clauses on the same key match."""
    own = [
        of_clause(other, not_in_takes_absent=True)
        for of_policy in subject.policy.selectors
        if of_policy.scope == selector.scope
        for other in of_policy.clauses
        if other.key == clause.key
    ]
    if not own:
        return False
    scope = reduce(and_, own)
    try:
        left = scope.minus(of_clause(clause, not_in_takes_absent=True))
        return not scope.empty and all(part.empty for part in left)
    except UndecidedError:
        return False


def absent_kills(subject: Subject) -> Iterator[Remark]:
    """``NotIn`` in a kill matches an absent key, unless another clause requires the key."""
    for entry, target in kills(subject):
        for selector in entry.selectors:
            for clause in selector.clauses:
                if clause.operator == "NotIn" and not _is_required(clause, selector, subject):
                    message = f"`NotIn` also kills {target} if {quoted(clause.key)} is absent"
                    hint = f"add `- {{key: {clause.key}, operator: Exists}}` if the key must be present"
                    yield subject.remark("SR805", message, clause.location, help=hint)


def _is_required(clause: Clause, selector: Selector, subject: Subject) -> bool:
    """Return whether another clause requires the key of a clause."""
    of_policy = (other for other in subject.policy.selectors if other.scope == selector.scope)
    return any(
        other.key == clause.key and not of_clause(other, not_in_takes_absent=True).absent
        for each in (selector, *of_policy)
        for other in each.clauses
    )


# What the vendor's own command line rejects and this project accepts (spyctl 0.24, ``schemas_v2``).

_NEEDED: Final = {
    "cluster": ("rulesets", "response"),
    "container": ("processPolicy", "networkPolicy", "response"),
    "linux-service": ("processPolicy", "networkPolicy", "response"),
}
_REJECTED: Final = {
    "cluster": ("processPolicy", "networkPolicy"),
    "container": ("rulesets",),
    "linux-service": ("rulesets",),
}
# Words that YAML reads as a boolean or null.
_TYPED_WORDS: Final = ("true", "false", "yes", "no", "on", "off", "~", "null")


def needed_keys(subject: Subject) -> Iterator[Remark]:
    """Keys of ``spec`` and ``response`` that the vendor requires or rejects."""
    spec, kind = child(subject.document, "spec"), subject.policy.type
    spec_key = key_of(subject.document, "spec")
    if spec is None or spec_key is None:
        return
    missing = [key for key in _NEEDED[kind] if key_of(spec, key) is None]
    if missing:
        message = f"the vendor requires {listed(missing)} in a {kind} policy"
        yield Remark("SR521", message, spec_key[1], spec_key[2])
    for key in _REJECTED[kind]:
        node = key_of(spec, key)
        if node is not None:
            yield Remark("SR522", f"the vendor rejects {quoted(key)} in a {kind} policy", node[1], node[2])
    response = key_of(spec, "response")
    if response is None:
        return
    for section in ("default", "actions"):
        node = child(spec, "response", section)
        if node is None or node[0] is None:
            message = f"the vendor requires {quoted(section)} in `response`, even if it is empty"
            yield Remark("SR521", message, response[1], response[2], help=f"write `{section}: []`")


def refused_keys(subject: Subject) -> Iterator[Remark]:
    """Keys of flags: no ``description`` on makeRedFlag, no ``enabled`` on a makeOpsFlag under ``default``."""
    for entry in subject.policy.entries:
        key = _rejected_key(entry)
        node = key_of(subject.body(entry), key) if key else None
        if node is not None:
            where = " under `default`" if key == "enabled" else ""
            message = f"the vendor rejects {quoted(key)} of {quoted(entry.action)}{where}"
            yield Remark("SR522", message, node[1], node[2])


def _rejected_key(entry: Entry) -> str:
    if entry.action == "makeRedFlag":
        return "description"
    return "enabled" if entry.action == "makeOpsFlag" and entry.section == "default" else ""


def texts_only(subject: Subject) -> Iterator[Remark]:
    """Values of selectors that YAML reads as a number or a boolean; and lists where the vendor expects one text."""
    spec = child(subject.document, "spec")
    for body in (spec, *(subject.body(entry) for entry in subject.policy.entries)):
        content: Any = body[0] if body is not None else None
        if not isinstance(content, dict):
            continue
        for key, (_, selector) in content.items():
            if key.endswith("Selector") and isinstance(selector[0], dict):
                yield from _selector(subject, key, selector)


def _selector(subject: Subject, name: str, selector: Node) -> Iterator[Remark]:
    for key, (_, value) in selector[0].items():
        if key in ("matchLabels", "matchFields") and isinstance(value[0], dict):
            for _, below in value[0].values():
                if isinstance(below[0], list):
                    yield _remark(f"the vendor expects one text under {quoted(key)}, not a list", below)
                else:
                    yield from _typed(subject, below)
        elif isinstance(value[0], list) and key in ("matchExpressions", "matchFieldsExpressions"):
            for item in value[0]:
                values = child(item, "values")
                if values is not None and isinstance(values[0], list):
                    for value_node in values[0]:
                        yield from _typed(subject, value_node)
        else:
            yield from _direct(name, key, value)


def _direct(name: str, key: str, value: Node) -> Iterator[Remark]:
    """Yield a field directly under a selector that is a list where the vendor expects a text, or a text for a list."""
    scope = SELECTORS.get(name, "")
    if key not in FIELDS.get(scope, ()):
        return
    if scope == "process" and isinstance(value[0], str):
        yield _remark(f"the vendor expects a list under {quoted(key)} of {quoted(name)}", value)
    elif scope in ("container", "service") and isinstance(value[0], list):
        yield _remark(f"the vendor expects one text under {quoted(key)} of {quoted(name)}, not a list", value)


def _typed(subject: Subject, node: Node) -> Iterator[Remark]:
    """Yield an unquoted value that YAML reads as a number, a boolean or null."""
    value, start, end = node
    typed = subject.documents.source.text[start:end]
    if isinstance(value, str) and typed == value and (value.lower() in _TYPED_WORDS or _is_number(value)):
        yield _remark(f"YAML does not read {quoted(value)} as a text, and the vendor expects a text; quote it", node)


def _is_number(text: str) -> bool:
    try:
        float(text.replace("_", ""))
    except ValueError:
        return False
    return text[:1] in "+-.0123456789"


def _remark(message: str, node: Node) -> Remark:
    return Remark("SR523", message, node[1], node[2])


# Unquoted globs that YAML reads as something else: as an alias, or as a list with text after it.

_CODES: Final = ("SR007", "SR013")
# Codes before this one are about the syntax of the text. Such an error ends the reading of the text.
_FIRST_OF_CONTENT: Final = "SR100"
_PART: Final = r"(?:\[[^\s\[\]{},'\"#]*\]|[^\s,\[\]{}#'\"])"
_GLOB: Final = re.compile(rf"(?:\*|\[[^\s\[\]{{}},'\"#]+\]){_PART}*(?:[ \t]+{_PART}+)*")
_BEFORE: Final = re.compile(r"(?:: |- |\[|, )[ \t]*$")
_CLASS_BEFORE: Final = re.compile(r"(?:: |- )[ \t]*(\[[^\s\[\]{},'\"#]+\])$")
_TAG_BEFORE: Final = re.compile(r"(?:: |- )[ \t]*(\[![^\s\[\]{},'\"#]+)$")
_NAME: Final = re.compile(r"\*[\w-]+")
_ANCHOR: Final = re.compile(r"(?:^|[\s\[{,])&[\w-]+", re.MULTILINE)


def with_quotes(item: Diagnostic, source: Source) -> Diagnostic:
    """Return an error with a fix if it is caused by an unquoted glob: quoting the glob removes the error."""
    if item.code not in _CODES or item.fix is not None or not item.location.line:
        return item
    glob = _glob(source, item.location.line, item.location.column)
    if glob is None:
        return item
    start, typed = glob
    fix = Fix("quote it", (Edit(start, start + len(typed), f"'{typed}'"),))
    text = source.text
    edited = f"{text[:start]}'{typed}'{text[start + len(typed) :]}"
    return item._replace(fix=fix) if reads_on(item, read_text(edited, path=source.path)) else item


def _glob(source: Source, line: int, column: int) -> tuple[int, str] | None:
    """Return the unquoted glob at the place of an error: its offset and its text."""
    text = source.text
    first = source.lines.bounds(line)[0]
    start = first + column - 1
    # For `[a-z]*`, the error is at the end of the list; for `[!a]`, at the end of what looks like a tag.
    before = _CLASS_BEFORE.search(text[first:start]) or _TAG_BEFORE.search(text[first:start])
    if before is not None:
        start = first + before.start(1)
    elif not _BEFORE.search(text[first:start]):
        return None
    match = _GLOB.match(text, start)
    if match is None:
        return None
    typed = match.group()
    if ": " in typed or typed.endswith(":"):
        return None
    if _NAME.fullmatch(typed) and _ANCHOR.search(text):
        # The text uses anchors, so this may be a misspelt alias.
        return None
    return start, typed


def reads_on(item: Diagnostic, after: Reading) -> bool:
    """Return whether reading goes on after the place of an error once the text was edited, even to another error."""
    place = item.location[1:]
    errors = [(other.location[1:], other.code) for other in after.findings.items if other.level == "error"]
    return all(there != place and (code >= _FIRST_OF_CONTENT or there > place) for there, code in errors)


# Policies without an effect.


def silent(subject: Subject) -> Iterator[Remark]:
    """A policy without an action, and an audit policy without an enabled action."""
    policy = subject.policy
    spec = child(subject.document, "spec")
    if not policy.entries:
        response = key_of(spec, "response")
        what = "`response` has no action" if response is not None else "the policy has no `response`"
        node = response or key_of(subject.document, "spec")
        start = node[1] if node is not None else subject.documents.offset(policy.location)
        message = f"{what}, so it never plans anything"
        hint = "add actions under `default` or `actions`, or delete the policy"
        yield Remark("SR814", message, start, subject.documents.word(start), hint)
    mode = key_of(spec, "mode")
    if mode is not None and policy.mode == "audit" and policy.enabled and not any(e.enabled for e in policy.entries):
        message = "`mode: audit` has no effect, because no action is enabled"
        yield Remark("SR813", message, mode[1], mode[2], "enable an action, or set `enabled: false` for the policy")


# Values that YAML reads differently from what they look like.

_BLOCK: Final = re.compile(r"(#{1,6} |[-*+] |\d{1,3}[.)] |> |```)")
_HEADING: Final = re.compile(r"#{1,6} ")
_ITEM: Final = re.compile(r"([-*+]|\d{1,3}[.)]) ")
_CLASS: Final = re.compile(r"\[!?(?:[a-z]-[a-z]|[A-Z]-[A-Z]|\d-\d)+\]|\[![^\s,'\"\[\]{}]+\]")


def folded_markdown(subject: Subject) -> Iterator[Remark]:
    """Headings and lists written on lines of their own, in a scalar that YAML folds into one line."""
    for entry in subject.policy.entries:
        for field, text in entry.parameters:
            # A folded text contains marks that would begin a line of Markdown.
            if field not in FLAG_TEXTS or not isinstance(text, str) or not _BLOCK.search(text):
                continue
            node = child(subject.body(entry), field)
            if node is None or not isinstance(node[0], str):
                continue
            typed = subject.documents.source.text[node[1] : node[2]]
            lost = _lost(typed, text)
            if lost is not None:
                message = (
                    f"{quoted(field)} is Markdown, and {quoted(lost)} no longer begins a line after YAML folds the text"
                )
                key = key_of(subject.body(entry), field)
                start = key[1] if key is not None else node[1]
                fix = _unfolded(subject, node, start)
                yield Remark("SR812", message, start, subject.documents.word(start), f"write `{field}: |`", fix)


def _lost(typed: str, text: str) -> str | None:
    """Return a written line with a Markdown mark, or after a heading, that begins no line of the text; None: none."""
    if typed.startswith("|") or "\n" not in typed:
        return None
    lines = [line.strip() for line in typed.strip("'\"").splitlines()]
    if lines[0].startswith(">"):
        lines = lines[1:]
    actual = {line.strip() for line in text.splitlines()}
    lost = [
        i
        for i, line in enumerate(lines)
        if line and line not in actual and not any(item.startswith(line) for item in actual) and _begins(lines, i)
    ]
    # A single dash or number may be prose that the author's editor wrapped.
    sure = [i for i in lost if not _ITEM.match(lines[i]) or _follows_end(lines, i)]
    if sure:
        return lines[min(lost)]
    return lines[lost[0]] if sum(1 for line in lines if _ITEM.match(line)) > 1 and lost else None


def _begins(lines: list[str], i: int) -> bool:
    return i > 0 and (_BLOCK.match(lines[i]) is not None or _HEADING.match(lines[i - 1]) is not None)


def _follows_end(lines: list[str], i: int) -> bool:
    """Return whether a paragraph ends before a line."""
    return i > 0 and (not lines[i - 1] or lines[i - 1].endswith(":") or _HEADING.match(lines[i - 1]) is not None)


def _unfolded(subject: Subject, node: Node, key: int) -> Fix | None:
    """Return the fix that writes a text as a literal block; None if it has escapes or is in a flow mapping."""
    text = subject.documents.source.text
    typed = text[node[1] : node[2]]
    quote = typed[:1]
    line = text[text.rfind("\n", 0, key) + 1 : key]
    if line.strip(" -") or "\t" in line or (quote == '"' and "\\" in typed):
        return None
    if quote == ">":
        return Fix("write it as a literal text", (Edit(node[1], node[1] + 1, "|"),), safe=False)
    inner = typed[1:-1] if quote in ("'", '"') else typed
    if quote == "'":
        inner = inner.replace("''", "'")
    lines = [item.strip() for item in inner.strip().splitlines()]
    if not lines or lines[0] == "":
        return None
    indent = " " * (len(line) + 2)
    newline = "\r\n" if "\r\n" in typed else "\n"
    block = newline.join(["|-", *(f"{indent}{item}".rstrip() for item in lines)])
    return Fix("write it as a literal text", (Edit(node[1], node[2], block),), safe=False)


def unquoted_globs(subject: Subject) -> Iterator[Remark]:
    """``name: [a-z]``: a list of one text for YAML, and probably intended as a glob."""
    document = subject.document
    if document is None or not _CLASS.search(subject.documents.source.text, document[1], document[2]):
        return
    spec = child(document, "spec")
    for body in (spec, *(subject.body(entry) for entry in subject.policy.entries)):
        content: Any = body[0] if body is not None else None
        if not isinstance(content, dict):
            continue
        for key, pair in content.items():
            if key.endswith("Selector"):
                yield from _lists(subject, pair[1])


def _lists(subject: Subject, node: Node) -> Iterator[Remark]:
    value, start, end = node
    if isinstance(value, dict):
        for _, below in value.values():
            yield from _lists(subject, below)
    elif isinstance(value, list):
        typed = subject.documents.source.text[start:end]
        if _CLASS.fullmatch(typed):
            message = f"{quoted(typed)} is a list of one text for YAML, not a glob"
            hint = f"write `'{typed}'` for a glob, or `- ` items for a list"
            yield Remark("SR815", message, start, end, hint)
        else:
            for item in value:
                yield from _lists(subject, item)
