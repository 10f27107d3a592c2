"""Kills that are wider than their author is likely to have meant."""

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

_FIRST_KILL: Final = STAGES["agentKillProcess"]
#: What every value of a field looks like: an exe is a resolved path, and a cgroup has this prefix.
_POSSIBLE: Final = {("process", "exe"): "/*", ("service", "cgroup"): "systemd:*"}
_TARGETS: Final = {
    "agentKillPod": "the pod",
    "agentKillProcess": "the process",
    "agentKillProcessGroup": "the process group",
    "agentKillProcessTree": "the process tree",
}


def is_kill(entry: Entry) -> bool:
    """Tell whether an entry's action kills."""
    return STAGES[entry.action] >= _FIRST_KILL


def kills(subject: Subject) -> Iterator[tuple[Entry, str]]:
    """Yield the enabled kills of an enabled policy, and what each kills."""
    if subject.policy.enabled:
        yield from (
            (entry, _TARGETS[entry.action]) for entry in subject.policy.entries if entry.enabled and is_kill(entry)
        )


def default_kills(subject: Subject) -> Iterator[Remark]:
    """A kill under ``default`` fires for every deviation in the policy's scope."""
    for entry, target in kills(subject):
        if entry.section != "default":
            continue
        what = f"{quoted(entry.action)} under `default` kills {target} of every deviation in the policy's scope"
        if subject.policy.mode == "enforce":
            hint = "move it to `actions` with a selector, or set `mode: audit` until its plans are known"
            yield subject.say("SR802", f"{what}, and the policy is in `enforce`", entry.location, help=hint)
        else:
            yield subject.say("SR801", what, entry.location, help="move it to `actions`, with a selector")


def unscoped_kills(subject: Subject) -> Iterator[Remark]:
    """A kill whose selectors let everything through, and a clause of a kill that lets every value through."""
    for entry, target in kills(subject):
        clauses = [(selector, clause) for selector in entry.selectors for clause in selector.clauses]
        open_ = [(selector, clause) for selector, clause in clauses if _takes_all(selector.scope, clause)]
        again = [pair for pair in clauses if pair not in open_ and _is_scope(*pair, subject)]
        if clauses and len(open_) + len(again) == len(clauses):
            scopes = listed(dict.fromkeys(selector.scope for selector, _ in clauses))
            why = "ask for no more than the policy's own" if again else "let everything through"
            message = (
                f"{quoted(entry.action)} kills {target} of every deviation in the policy's scope that has {scopes}: "
                f"its selectors {why}"
            )
            yield subject.say("SR803", message, clauses[0][1].location, help="select what is meant by name")
            continue
        for selector, clause in open_:
            if clause.operator == "In":
                message = f"{_open_glob(selector.scope, clause)} every value of {quoted(clause.key)}, in a kill"
                hint = "say which are meant, leave it out, or write `operator: Exists`"
                yield subject.say("SR804", message, clause.location, help=hint)


def _takes_all(scope: str, clause: Clause) -> bool:
    """Tell whether a clause lets every value through, the empty text perhaps apart."""
    return clause.operator == "Exists" or (clause.operator == "In" and _is_all(scope, clause.key, clause.values))


def _is_all(scope: str, key: str, globs: Iterable[str]) -> bool:
    if not any("*" in glob for glob in globs):
        return False
    possible = _POSSIBLE.get((scope, key))
    any_of = frozenset({frozenset({possible})} if possible else ())
    try:
        return present_example(Values(False, True, any_of, frozenset({*globs, ""}))) is None
    except UndecidedError:
        return False


def _open_glob(scope: str, clause: Clause) -> str:
    alone = next((glob for glob in clause.values if _is_all(scope, clause.key, (glob,))), None)
    return f"{quoted(alone)} takes" if alone is not None else f"{listed(clause.values)} together take"


def _is_scope(selector: Selector, clause: Clause, subject: Subject) -> bool:
    """Tell whether a clause lets through whatever the policy's own clauses on the same key do."""
    own = [
        of_clause(other, not_in_takes_absent=True)
        for held in subject.policy.selectors
        if held.scope == selector.scope
        for other in held.clauses
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
    """``NotIn`` in a kill holds where the key is absent, unless another clause asks for the key."""
    for entry, target in kills(subject):
        for selector in entry.selectors:
            for clause in selector.clauses:
                if clause.operator == "NotIn" and not _is_asked_for(clause, selector, subject):
                    message = f"`NotIn` kills {target} where {quoted(clause.key)} is absent, too"
                    hint = f"add `- {{key: {clause.key}, operator: Exists}}` if it must be there"
                    yield subject.say("SR805", message, clause.location, help=hint)


def _is_asked_for(clause: Clause, selector: Selector, subject: Subject) -> bool:
    scoping = (other for other in subject.policy.selectors if other.scope == selector.scope)
    return any(
        other.key == clause.key and not of_clause(other, not_in_takes_absent=True).absent
        for held in (selector, *scoping)
        for other in held.clauses
    )


# What the vendor's own command line refuses and this project takes (spyctl 0.24, ``schemas_v2``): notes.

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


# Globs that stand unquoted where YAML reads something else: an alias, or a list with text behind it.

_CODES: Final = ("SR007", "SR013")
#: Codes before it are about the text itself; where one is found nothing behind it is read.
_FIRST_OF_MEANING: Final = "SR100"
_PART: Final = r"(?:\[[^\s\[\]{},'\"#]*\]|[^\s,\[\]{}#'\"])"
_GLOB: Final = re.compile(rf"(?:\*|\[[^\s\[\]{{}},'\"#]+\]){_PART}*(?:[ \t]+{_PART}+)*")
_BEFORE: Final = re.compile(r"(?:: |- |\[|, )[ \t]*$")
_CLASS_BEFORE: Final = re.compile(r"(?:: |- )[ \t]*(\[[^\s\[\]{},'\"#]+\])$")
_TAG_BEFORE: Final = re.compile(r"(?:: |- )[ \t]*(\[![^\s\[\]{},'\"#]+)$")
_NAME: Final = re.compile(r"\*[\w-]+")
_ANCHOR: Final = re.compile(r"(?:^|[\s\[{,])&[\w-]+", re.MULTILINE)


def with_quotes(item: Diagnostic, source: Source) -> Diagnostic:
    """Return an error with its fix where a glob stands unquoted, and the text can be read on once it is quoted."""
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
    """Return where the glob begins that an error speaks of, and the glob as it is typed."""
    text = source.text
    first = source.lines.bounds(line)[0]
    start = first + column - 1
    # `[a-z]*` is refused where the list has ended, `[!a]` where what may be a tag has.
    behind = _CLASS_BEFORE.search(text[first:start]) or _TAG_BEFORE.search(text[first:start])
    if behind is not None:
        start = first + behind.start(1)
    elif not _BEFORE.search(text[first:start]):
        return None
    match = _GLOB.match(text, start)
    if match is None:
        return None
    typed = match.group()
    if ": " in typed or typed.endswith(":"):
        return None
    if _NAME.fullmatch(typed) and _ANCHOR.search(text):
        # Its author knows anchors, and may have misspelt one.
        return None
    return start, typed


def reads_on(item: Diagnostic, after: Reading) -> bool:
    """Tell whether a text with this error, once edited, is read past its place. What it then says may be wrong, too."""
    place = item.location[1:]
    found = [(other.location[1:], other.code) for other in after.findings.items if other.level == "error"]
    return all(there != place and (code >= _FIRST_OF_MEANING or there > place) for there, code in found)


# Policies that do nothing.


def silent(subject: Subject) -> Iterator[Remark]:
    """A policy without an action, and one that audits nothing."""
    policy = subject.policy
    spec = child(subject.document, "spec")
    if not policy.entries:
        response = key_of(spec, "response")
        what = "`response` holds no action" if response is not None else "the policy has no `response`"
        place = response or key_of(subject.document, "spec")
        start = place[1] if place is not None else subject.documents.offset(policy.location)
        message = f"{what}: it never plans anything"
        hint = "write what is to be done, under `default` or `actions`, or take the policy away"
        yield Remark("SR814", message, start, subject.documents.word(start), hint)
    mode = key_of(spec, "mode")
    if mode is not None and policy.mode == "audit" and policy.enabled and not any(e.enabled for e in policy.entries):
        message = "`mode: audit`, and no action that is enabled: there is nothing to audit"
        yield Remark("SR813", message, mode[1], mode[2], "enable an action, or set `enabled: false` for the policy")


# Values that YAML reads otherwise than they look.

_BLOCK: Final = re.compile(r"(#{1,6} |[-*+] |\d{1,3}[.)] |> |```)")
_HEADING: Final = re.compile(r"#{1,6} ")
_ITEM: Final = re.compile(r"([-*+]|\d{1,3}[.)]) ")
_CLASS: Final = re.compile(r"\[!?(?:[a-z]-[a-z]|[A-Z]-[A-Z]|\d-\d)+\]|\[![^\s,'\"\[\]{}]+\]")


def folded_markdown(subject: Subject) -> Iterator[Remark]:
    """Headings and lists written on lines of their own, in a scalar that YAML folds into one line."""
    for entry in subject.policy.entries:
        for field, text in entry.parameters:
            # What is one line long was folded, if it holds what would have begun another.
            if field not in FLAG_TEXTS or not isinstance(text, str) or not _BLOCK.search(text):
                continue
            node = child(subject.body(entry), field)
            if node is None or not isinstance(node[0], str):
                continue
            typed = subject.documents.source.text[node[1] : node[2]]
            lost = _lost(typed, text)
            if lost is not None:
                message = (
                    f"{quoted(field)} is Markdown, and {quoted(lost)} does not begin a line once YAML has folded it"
                )
                key = key_of(subject.body(entry), field)
                start = key[1] if key is not None else node[1]
                fix = _unfolded(subject, node, start)
                yield Remark("SR812", message, start, subject.documents.word(start), f"write `{field}: |`", fix)


def _lost(typed: str, text: str) -> str | None:
    """Return a line that was typed with a mark at its beginning, or after a heading, and begins none of the text."""
    if typed.startswith("|") or "\n" not in typed:
        return None
    lines = [line.strip() for line in typed.strip("'\"").splitlines()]
    if lines[0].startswith(">"):
        lines = lines[1:]
    got = {line.strip() for line in text.splitlines()}
    lost = [
        i
        for i, line in enumerate(lines)
        if line and line not in got and not any(item.startswith(line) for item in got) and _begins(lines, i)
    ]
    # One dash or number may well stand where the author's editor broke a line of prose.
    sure = [i for i in lost if not _ITEM.match(lines[i]) or _leads_on(lines, i)]
    if sure:
        return lines[min(lost)]
    return lines[lost[0]] if sum(1 for line in lines if _ITEM.match(line)) > 1 and lost else None


def _begins(lines: list[str], i: int) -> bool:
    return i > 0 and (_BLOCK.match(lines[i]) is not None or _HEADING.match(lines[i - 1]) is not None)


def _leads_on(lines: list[str], i: int) -> bool:
    """Tell whether what stands before a line ends there."""
    return i > 0 and (not lines[i - 1] or lines[i - 1].endswith(":") or _HEADING.match(lines[i - 1]) is not None)


def _unfolded(subject: Subject, node: Node, key: int) -> Fix | None:
    """Return what writes the text line by line; not where it escapes, or stands in braces."""
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
    """``name: [a-z]`` is a list of one text for YAML, and was meant as a glob."""
    document = subject.document
    if document is None or not _CLASS.search(subject.documents.source.text, document[1], document[2]):
        return
    spec = child(document, "spec")
    bodies = [spec, *(subject.body(entry) for entry in subject.policy.entries)]
    for body in bodies:
        held: Any = body[0] if body is not None else None
        if not isinstance(held, dict):
            continue
        for key, pair in held.items():
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
            yield Remark("SR815", message, start, end, f"write `'{typed}'` if a glob is meant, `- ` items if not")
        else:
            for item in value:
                yield from _lists(subject, item)
