"""The schema for editors and strict reading give real policies the same verdict."""

from __future__ import annotations

import json
from pathlib import Path

from schema_check import agree


def test_agrees_on_the_corpus(corpus: Path, conformance: list[Path]) -> None:
    texts = {
        f"{folder}/{path.name}": path.read_text()
        for folder in ("reference", "vendor_policies", "bad_inputs")
        for path in sorted((corpus / "corpus" / folder).rglob("*.yaml"))
    }
    for path in conformance:
        for number, text in enumerate(json.loads(path.read_text())["policies"]):
            texts[f"{path.name}[{number}]"] = text
    assert len(texts) > 250
    unseen, disagree = [], []
    for name, text in texts.items():
        try:
            if not agree(text):
                unseen.append(name)
        except AssertionError as error:
            disagree.append((name, str(error)))
    assert not disagree
    # A tab, an empty file.
    assert len(unseen) <= 2, unseen
