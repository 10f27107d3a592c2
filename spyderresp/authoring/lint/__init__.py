"""Applies all rules to policies and their texts, then the authors' ignore comments."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Final

from spyderresp.authoring.lint import overlaps, rules
from spyderresp.authoring.lint.documents import Documents
from spyderresp.authoring.lint.ignores import apply_ignores, ignores
from spyderresp.authoring.lint.repairs import with_repair
from spyderresp.authoring.lint.subject import Remark, Rule, Subject
from spyderresp.errors import Diagnostic
from spyderresp.policies.diagnostics import Findings, Source
from spyderresp.policies.loader import Reading

RULES: Final[tuple[Rule, ...]] = (
    rules.default_kills,
    rules.unscoped_kills,
    rules.absent_kills,
    overlaps.useless_entries,
    overlaps.pods_and_services,
    rules.folded_markdown,
    rules.unquoted_globs,
    rules.silent,
)
#: The rules for policies that the vendor's own command line must accept too.
PORTABLE: Final[tuple[Rule, ...]] = (
    rules.needed_keys,
    rules.refused_keys,
    rules.texts_only,
)


def lint(
    reading: Reading,
    *,
    portable: bool = False,
    ignored: Callable[[str, str], bool] = lambda _path, _code: False,
) -> list[Diagnostic]:
    """Return all findings about policies, file by file, in the order of their places.

    Args:
        reading: the policies and their texts.
        portable: whether to note what the vendor's own command line rejects.
        ignored: returns whether to ignore a code in a file; the arguments are the path and the code.
    """
    documents = {source.path: Documents(source) for source in reading.sources}
    of_loading: dict[str, list[Diagnostic]] = defaultdict(list)
    for item in reading.findings.items:
        own = documents.get(item.location.path)
        fixed = item if own is None else rules.with_quotes(with_repair(item, own), own.source)
        of_loading[item.location.path].append(fixed)
    remarks: dict[str, list[Remark]] = defaultdict(list)
    active = (*RULES, *(PORTABLE if portable else ()))
    for policy in reading.policies:
        path = policy.location.path
        subject = Subject(policy, documents[path])
        remarks[path].extend(remark for rule in active for remark in rule(subject))
    result: list[Diagnostic] = []
    paths = dict.fromkeys([*(item.location.path for item in reading.findings.items), *documents])
    for path in sorted(paths, key=_order(reading.sources)):
        items = of_loading[path]
        if path in documents:
            items = _of_file(items, remarks[path], documents[path])
        result += [item for item in items if item.level == "error" or not ignored(path, item.code)]
    return result


def _order(sources: tuple[Source, ...]) -> Callable[[str], tuple[bool, int]]:
    indexes = {source.path: i for i, source in enumerate(sources)}
    # Findings about a directory, or about a file that cannot be read, come first.
    return lambda path: (path in indexes, indexes.get(path, 0))


def _of_file(items: list[Diagnostic], remarks: list[Remark], documents: Documents) -> list[Diagnostic]:
    left, about_ignores = apply_ignores([*items, *_diagnostics(remarks, documents)], ignores(documents))
    both = [*left, *_diagnostics(about_ignores, documents)]
    return sorted(both, key=lambda item: (item.location.line, item.location.column, item.code))


def _diagnostics(remarks: Iterable[Remark], documents: Documents) -> list[Diagnostic]:
    findings = Findings()
    for remark in remarks:
        findings.add(remark.code, remark.message, documents.source, remark.start, remark.end, remark.help, remark.fix)
    return findings.items
