"""One pass over policies and their texts: every rule, then the author's own ignores."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Final

from spyderresp.authoring.lint import overlaps
from spyderresp.authoring.lint import rules as kills
from spyderresp.authoring.lint import rules as portability
from spyderresp.authoring.lint import rules as responses
from spyderresp.authoring.lint import rules as texts
from spyderresp.authoring.lint.documents import Documents
from spyderresp.authoring.lint.ignores import ignores, kept
from spyderresp.authoring.lint.repairs import with_repair
from spyderresp.authoring.lint.rules import with_quotes
from spyderresp.authoring.lint.subject import Remark, Rule, Subject
from spyderresp.errors import Diagnostic
from spyderresp.policies.diagnostics import Findings, Source
from spyderresp.policies.loader import Reading

RULES: Final[tuple[Rule, ...]] = (
    kills.default_kills,
    kills.unscoped_kills,
    kills.absent_kills,
    overlaps.certain,
    overlaps.pods_and_services,
    texts.folded_markdown,
    texts.unquoted_globs,
    responses.silent,
)
#: What only those want to hear whose policies the vendor's own command line must take, too.
PORTABLE: Final[tuple[Rule, ...]] = (
    portability.needed_keys,
    portability.refused_keys,
    portability.texts_only,
)


def lint(
    reading: Reading,
    *,
    portable: bool = False,
    ignored: Callable[[str, str], bool] = lambda _path, _code: False,
) -> list[Diagnostic]:
    """Return everything there is to say of what was read, in the order of its places, file by file.

    Args:
        reading: what was read.
        portable: note what the vendor's own command line refuses, too.
        ignored: tells whether a code is not wanted for a path.
    """
    documents = {source.path: Documents(source) for source in reading.sources}
    found: dict[str, list[Diagnostic]] = defaultdict(list)
    for item in reading.findings.items:
        held = documents.get(item.location.path)
        found[item.location.path].append(item if held is None else _with_fix(item, held))
    remarks: dict[str, list[Remark]] = defaultdict(list)
    rules = (*RULES, *(PORTABLE if portable else ()))
    for policy in reading.policies:
        path = policy.location.path
        subject = Subject(policy, documents[path])
        remarks[path].extend(remark for rule in rules for remark in rule(subject))
    said: list[Diagnostic] = []
    paths = dict.fromkeys([*(item.location.path for item in reading.findings.items), *documents])
    for path in sorted(paths, key=_order(reading.sources)):
        items = found[path]
        if path in documents:
            items = _of_file(items, remarks[path], documents[path])
        said += [item for item in items if item.level == "error" or not ignored(path, item.code)]
    return said


def _with_fix(item: Diagnostic, documents: Documents) -> Diagnostic:
    return with_quotes(with_repair(item, documents), documents.source)


def _order(sources: tuple[Source, ...]) -> Callable[[str], tuple[bool, int]]:
    places = {source.path: i for i, source in enumerate(sources)}
    # What is said of a directory as a whole, or of a file that cannot be read, comes first.
    return lambda path: (path in places, places.get(path, 0))


def _of_file(items: list[Diagnostic], remarks: list[Remark], documents: Documents) -> list[Diagnostic]:
    held = ignores(documents)
    left, about = kept([*items, *_diagnostics(remarks, documents)], held)
    both = [*left, *_diagnostics(about, documents)]
    return sorted(both, key=lambda item: (item.location.line, item.location.column, item.code))


def _diagnostics(remarks: Iterable[Remark], documents: Documents) -> list[Diagnostic]:
    findings = Findings()
    for remark in remarks:
        findings.add(remark.code, remark.message, documents.source, remark.start, remark.end, remark.help, remark.fix)
    return findings.items
