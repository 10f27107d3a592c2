"""The stable codes of every kind of finding.

``code_pages.md`` beside this module holds a page for each code. docs/codes has the same pages, one file each;
tests/unit/test_code_pages.py holds the two equal and writes the files where SPYDERRESP_UPDATE_EXPECTED is set.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from spyderresp.errors import Level


class Code(NamedTuple):
    """A kind of finding: its code, its level in lenient reading, and whether strict reading makes it an error."""

    id: str
    level: Level
    title: str
    repair: bool = False


def _errors(*rows: tuple[str, str]) -> tuple[Code, ...]:
    return tuple(Code(code, "error", title) for code, title in rows)


_TEXT = _errors(
    ("SR001", "no such file or directory"),
    ("SR002", "the path cannot be read"),
    ("SR003", "no document found"),
    ("SR004", "the text is too large"),
    ("SR005", "the text is not UTF-8"),
    ("SR006", "the text is binary"),
    ("SR007", "syntax error"),
    ("SR008", "a tab is used as indentation"),
    ("SR009", "nested too deeply"),
    ("SR010", "too many values"),
    ("SR011", "aliases expand to too many values"),
    ("SR012", "duplicate key"),
    ("SR013", "unknown alias"),
    ("SR014", "an alias refers to what holds it"),
    ("SR015", "unknown tag"),
    ("SR016", "a key is not text"),
    ("SR017", "a merge key has no mapping to merge"),
    ("SR018", "lone surrogate"),
    ("SR019", "a value of an unsupported type"),
    ("SR020", "too many errors"),
)
_DOCUMENTS = _errors(
    ("SR101", "the document is not a mapping"),
    ("SR102", "apiVersion is missing"),
    ("SR103", "kind is missing"),
    ("SR104", "unknown kind"),
    ("SR105", "a policy under another apiVersion"),
    ("SR106", "unknown key in the document"),
    ("SR110", "a value is needed and null is written"),
    ("SR111", "a mapping is needed"),
    ("SR112", "a list is needed"),
    ("SR113", "a text is needed"),
    ("SR114", "a boolean is needed"),
    ("SR120", "metadata is missing"),
    ("SR121", "metadata.name is missing"),
    ("SR122", "metadata.type is missing"),
    ("SR123", "unknown policy type"),
    ("SR124", "duplicate uid"),
    ("SR130", "spec is missing"),
    ("SR131", "unknown key in spec"),
    ("SR132", "unknown mode"),
    ("SR133", "the policy type needs a selector that is missing"),
)
_SELECTORS = _errors(
    ("SR201", "empty selector"),
    ("SR202", "wrong primitive in a selector"),
    ("SR203", "unknown field in a selector"),
    ("SR204", "unknown key in an expression"),
    ("SR205", "the expression has no key"),
    ("SR206", "the expression has no operator"),
    ("SR207", "unknown operator"),
    ("SR208", "the operator needs values"),
    ("SR209", "the operator takes no values"),
    ("SR210", "empty list of values"),
)
_RESPONSE = _errors(
    ("SR301", "unknown key in response"),
    ("SR302", "an action is not a mapping"),
    ("SR303", "no action in the list item"),
    ("SR304", "unknown action"),
    ("SR305", "more than one action in the list item"),
    ("SR306", "unknown key in an action"),
    ("SR307", "severity is missing"),
    ("SR308", "unknown severity"),
    ("SR309", "priority is missing"),
    ("SR310", "priority is not an integer"),
    ("SR311", "a default action has a selector"),
    ("SR312", "an action has no selector"),
    ("SR313", "agentKillPod has a serviceSelector"),
    ("SR314", "unknown selector"),
)
_WARNINGS = (
    Code("SR401", "warning", "an action's keys stand beside it", repair=True),
    Code("SR402", "warning", "labels stand directly under the selector", repair=True),
    Code("SR403", "warning", "priority is out of range", repair=True),
    Code("SR404", "warning", "mode is missing", repair=True),
    Code("SR451", "warning", "duplicate name"),
    Code("SR452", "warning", "no document in the file"),
)
_NOTES = tuple(
    Code(code, "note", title)
    for code, title in (
        ("SR501", "skipped: another apiVersion"),
        ("SR502", "skipped: another kind"),
        ("SR503", "skipped: a trace policy"),
        ("SR511", "a text is longer than the vendor takes"),
        ("SR512", "impact on makeOpsFlag"),
        ("SR513", "serviceSelector in an action"),
        ("SR514", "an action the vendor does not offer for the policy type"),
        ("SR515", "a selector the vendor does not offer for the policy type"),
    )
)
# What `check` finds in policies that can be read; loading alone does not look for it.
_PORTABILITY = tuple(
    Code(code, "note", title)
    for code, title in (
        ("SR521", "a key the vendor needs is missing"),
        ("SR522", "a key the vendor does not take here"),
        ("SR523", "a value the vendor takes as text only"),
    )
)
_LINTS = (
    *(
        Code(code, "warning", title)
        for code, title in (
            ("SR801", "a kill under default"),
            ("SR802", "a kill under default, in force"),
            ("SR803", "a kill that selects everything"),
            ("SR804", "a glob in a kill that takes every value"),
            ("SR805", "NotIn in a kill takes what lacks the key"),
            ("SR806", "an action that can never fire"),
            ("SR807", "a policy that no event is in scope of"),
            ("SR808", "a service selected together with a pod"),
            ("SR809", "an action that others make needless"),
            ("SR810", "an action that is there twice"),
            ("SR811", "actions that contradict each other"),
            ("SR812", "Markdown is folded into one line"),
            ("SR813", "audit without anything to audit"),
            ("SR814", "a policy without a response"),
            ("SR815", "a glob that YAML reads as a list"),
        )
    ),
    Code("SR816", "note", "a renice and a kill can meet"),
    *(
        Code(code, "warning", title)
        for code, title in (
            ("SR821", "an ignore without a reason"),
            ("SR822", "an ignore of an unknown code"),
            ("SR823", "an ignore that nothing needs"),
        )
    ),
)
_CONFIGURATION = _errors(
    ("SR601", "unknown key in the configuration"),
    ("SR602", "a key of the configuration is missing"),
    ("SR603", "a number is needed"),
    ("SR604", "a number is out of range"),
    ("SR605", "unknown value in the configuration"),
    ("SR606", "not exactly one kind"),
    ("SR607", "not an address"),
    ("SR608", "unknown executor"),
    ("SR609", "the executor does not take its settings"),
    ("SR610", "a source that anybody can reach"),
    ("SR611", "a secret in plain sight"),
    ("SR612", "a secret or certificate cannot be read"),
    ("SR613", "others may write it"),
    ("SR614", "not exactly one document"),
    ("SR615", "not a silence"),
)
_TESTS = _errors(
    ("SR701", "unknown key in a policy test"),
    ("SR702", "a key of a policy test is missing"),
    ("SR703", "a number is needed in a policy test"),
    ("SR704", "a number of a policy test is out of range"),
    ("SR705", "unknown value in a policy test"),
    ("SR706", "not exactly one source of events"),
    ("SR707", "events of a policy test cannot be read"),
    ("SR708", "two policy tests with one name"),
    ("SR709", "a policy test that cannot fail"),
    ("SR710", "not a policy test"),
)

CODES: Final = {
    code.id: code
    for code in (
        *_TEXT,
        *_DOCUMENTS,
        *_SELECTORS,
        *_RESPONSE,
        *_WARNINGS,
        *_NOTES,
        *_PORTABILITY,
        *_CONFIGURATION,
        *_TESTS,
        *_LINTS,
    )
}


@functools.lru_cache(maxsize=1)
def code_pages() -> Mapping[str, str]:
    """Return the page of every code, in Markdown, by code."""
    text = Path(__file__).with_name("code_pages.md").read_text(encoding="utf-8")
    return {page[2:7]: page for page in re.split(r"\n(?=# SR\d{3}: )", text)}
