"""Paths, texts and host documents to a PolicySet. Finding files, decoding them, and one pass of diagnostics."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Mapping as AbstractMapping
from typing import Any, Final, NamedTuple

from spyderresp.errors import Diagnostic, PolicyError
from spyderresp.policies._document import Texts, Tree, read_json
from spyderresp.policies._schema import PolicyReader, write_json
from spyderresp.policies.diagnostics import Findings, Source, TooManyFindingsError
from spyderresp.policies.document_limits import MAX_BYTES, DocumentError, NotJsonError
from spyderresp.policies.policy_set import Policy, PolicySet
from spyderresp.policies.yaml_reader import read_yaml

SUFFIXES: Final = (".yaml", ".yml", ".json")
_CHUNK: Final = 1 << 20
_BOMS: Final = (
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)


def load(*paths: str | os.PathLike[str], strict: bool = False) -> PolicySet:
    """Read policies from files and directories, in the order given; a directory in the order of its path parts.

    Args:
        paths: files, or directories that are walked for ``*.yaml``, ``*.yml`` and ``*.json``.
        strict: make each lenient repair an error.

    Raises:
        PolicyError: anything is wrong with any of them; it carries every finding.
        TypeError: no path is given.
    """
    if not paths:
        raise TypeError("load() needs at least one path")
    return _finish(Findings(strict=strict), (_Path(os.fspath(path)) for path in paths))


def loads(text: str, *, strict: bool = False, path: str = "<text>") -> PolicySet:
    """Read policies from a text, YAML or JSON. ``path`` is what diagnostics call it.

    Raises:
        PolicyError: anything is wrong with it; it carries every finding.
    """
    if not isinstance(text, str):
        raise TypeError("loads() takes a str; decode bytes first, or use load() for a file")
    return _finish(Findings(strict=strict), [_Text(path, text)])


def from_documents(documents: Iterable[AbstractMapping[str, Any]], *, strict: bool = False) -> PolicySet:
    """Read policies from documents that the host already holds, such as parsed JSON.

    Numbers and booleans count as their JSON text. Diagnostics name the document, from 0, and the path in it, such as
    ``<document 0>: spec.response.actions[2].agentKillProcess``. Line and column are those in the document's JSON text,
    indented by two.

    Args:
        documents: mappings, as a JSON or YAML parser returns them.
        strict: make each lenient repair an error.

    Raises:
        PolicyError: anything is wrong with them; it carries every finding.
    """
    if isinstance(documents, (str, bytes, AbstractMapping)):
        raise TypeError("from_documents() takes an iterable of mappings")
    return _finish(
        Findings(strict=strict), (_ReadDocument(f"<document {i}>", item) for i, item in enumerate(documents))
    )


class Reading(NamedTuple):
    """What was read of some paths, errors or not.

    Attributes:
        policies: those without an error.
        findings: everything that was found.
        sources: the texts, in the order of reading.
    """

    policies: tuple[Policy, ...]
    findings: Findings
    sources: tuple[Source, ...]


def read(*paths: str | os.PathLike[str], strict: bool = False) -> Reading:
    """Read as ``load`` does, but give back what could be read beside what is wrong, and the texts."""
    findings = Findings(strict=strict)
    reader = PolicyReader(findings)
    sources: list[Source] = []
    _read_all(reader, findings, (_Path(os.fspath(path), sources.append) for path in paths))
    return Reading(tuple(reader.policies), findings, tuple(sources))


def read_text(text: str, *, strict: bool = False, path: str = "<text>") -> Reading:
    """Read a text as ``loads`` does, but give back what could be read beside what is wrong."""
    findings = Findings(strict=strict)
    reader = PolicyReader(findings)
    source = Source(path, text.lstrip("\ufeff"))
    _read_all(reader, findings, [_Text(path, text)])
    return Reading(tuple(reader.policies), findings, (source,))


def _finish(findings: Findings, inputs: Iterable[_Path | _Text | _ReadDocument]) -> PolicySet:
    reader = PolicyReader(findings)
    _read_all(reader, findings, inputs)
    if findings.errors:
        raise PolicyError(findings.items)
    return PolicySet(reader.policies, findings.items)


def _read_all(reader: PolicyReader, findings: Findings, inputs: Iterable[_Path | _Text | _ReadDocument]) -> None:
    try:
        for item in inputs:
            item.read(reader, findings)
            reader.texts.forget()
    except TooManyFindingsError:
        pass


def _read_documents(source: Source, reader: PolicyReader, findings: Findings, *, nothing: str) -> bool:
    """Read all documents of a text; tell whether there was any. ``nothing`` is the code to record where not."""
    found = False
    before = len(findings.items)
    try:
        for tree in trees(source, reader.texts):
            if not tree.empty:
                found |= reader.read(tree, source)
    except DocumentError as error:
        findings.unreadable(error, source)
        found = True
    findings.sort_since(before)
    if not found:
        findings.add(nothing, "no document found here", source)
    return found


def trees(source: Source, texts: Texts | None = None) -> Iterator[Tree]:
    """Yield the documents: of JSON where the text looks like it and is it, else of YAML.

    Raises:
        DocumentError: it is neither.
    """
    text = source.text
    texts = texts or Texts()
    not_json: NotJsonError | None = None
    if text.lstrip(" \t\r\n")[:1] in ("{", "["):
        try:
            yield read_json(text, texts)
            return
        except NotJsonError as error:
            not_json = error
    try:
        yield from read_yaml(text, texts)
    except DocumentError:
        if not_json is None or not source.path.endswith(".json"):
            raise
        # It is neither. It looks like JSON, so report the fault as one of JSON.
        raise DocumentError("SR007", f"not valid JSON: {not_json.message}", not_json.offset) from None


class _Text:
    """A text in hand."""

    def __init__(self, path: str, text: str) -> None:
        self._path = path
        self._text = text

    def read(self, reader: PolicyReader, findings: Findings) -> None:
        if len(self._text) > MAX_BYTES:
            findings.about_path("SR004", f"larger than {MAX_BYTES:,} characters", self._path)
            return
        source = Source(self._path, self._text.lstrip("\ufeff"))
        surrogate = _first_surrogate(source.text)
        if surrogate is not None:
            findings.add("SR018", "a lone surrogate is no character", source, surrogate)
            return
        _read_documents(source, reader, findings, nothing="SR003")


def _first_surrogate(text: str) -> int | None:
    if text.isascii():
        return None
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return error.start
    return None


class _Path:
    """A file, or a directory of files; ``keep`` is handed every text of it."""

    def __init__(self, path: str, keep: Callable[[Source], object] | None = None) -> None:
        self._path = path
        self._keep = keep

    def read(self, reader: PolicyReader, findings: Findings) -> None:
        path = self._path
        try:
            directory = stat.S_ISDIR(os.stat(path).st_mode)
        except OSError as error:
            code = "SR001" if isinstance(error, (FileNotFoundError, NotADirectoryError)) else "SR002"
            findings.about_path(code, _reason(error), path)
            return
        except ValueError:
            # It holds a NUL, or a character that no file name can hold.
            findings.about_path("SR001", "no such file or directory", ascii(path))
            return
        if not directory:
            self._read(path, reader, findings, nothing="SR003")
            return
        before, found = findings.errors, False
        for name in walk(path, findings):
            found |= self._read(name, reader, findings, nothing="SR452")
        if not found and findings.errors == before:
            wanted = " ".join(f"*{suffix}" for suffix in SUFFIXES)
            findings.about_path("SR003", f"no document found in this directory: no {wanted} holds one", path)

    def _read(self, path: str, reader: PolicyReader, findings: Findings, *, nothing: str) -> bool:
        source = read_source(path, findings)
        if source is None:
            return False
        if self._keep is not None:
            self._keep(source)
        return _read_documents(source, reader, findings, nothing=nothing)


def _reason(error: OSError) -> str:
    return (error.strerror or "cannot be read").lower()


def walk(top: str, findings: Findings) -> Iterator[str]:
    """Yield the files of a directory to read, by path parts; what cannot be listed is an error, never skipped."""

    def failed(error: OSError) -> None:
        findings.about_path("SR002", _reason(error), os.fspath(error.filename or top))

    names = []
    for directory, subdirectories, files in os.walk(top, onerror=failed, followlinks=False):
        subdirectories[:] = [
            name for name in subdirectories if not name.startswith(".") and not os.path.islink(f"{directory}/{name}")
        ]
        for name in files:
            path = os.path.join(directory, name)
            if not name.startswith(".") and name.endswith(SUFFIXES) and _is_file(path, findings):
                names.append(path)
    return iter(sorted(names, key=lambda name: name.split(os.sep)))


def _is_file(path: str, findings: Findings) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError as error:
        findings.about_path("SR002", _reason(error), path, help="a link must lead to a file that can be read")
        return False


def read_source(path: str, findings: Findings) -> Source | None:
    """Return the text of a file, or None after recording why there is none."""
    try:
        data = _read_bytes(path)
    except OSError as error:
        findings.about_path("SR002", _reason(error), path)
        return None
    if data is None:
        findings.about_path("SR002", "not a regular file", path)
        return None
    if len(data) > MAX_BYTES:
        findings.about_path("SR004", f"larger than {MAX_BYTES:,} bytes", path, help="split it over several files")
        return None
    for bom, name in _BOMS:
        if data.startswith(bom):
            findings.about_path("SR005", f"the text is {name}, not UTF-8", path, help="save the file as UTF-8")
            return None
    try:
        return Source(path, data.decode().lstrip("\ufeff"))
    except UnicodeDecodeError as error:
        good = data[: error.start].decode().lstrip("\ufeff")
        byte = data[error.start]
        source = Source(path, good + "\ufffd")
        if b"\0" in data[:4096]:
            findings.add("SR006", f"byte 0x{byte:02x} is not UTF-8: this looks like binary data", source, len(good))
        else:
            message = f"byte 0x{byte:02x} is not UTF-8"
            findings.add("SR005", message, source, len(good), help="save the file as UTF-8")
        return None


def _read_bytes(path: str) -> bytes | None:
    """Return the file's bytes, one more than the limit at most; None where it is no regular file.

    Opened without blocking, so that a pipe in the place of a file cannot hang the load.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return None
        # The size is a hint: a file may grow, and some have none. Room for the limit would cost more than the reading.
        wanted = min(status.st_size, MAX_BYTES) + 1
        pieces: list[bytes] = []
        held = 0
        while held <= MAX_BYTES and (piece := os.read(descriptor, min(wanted, MAX_BYTES + 1 - held))):
            pieces.append(piece)
            held += len(piece)
            wanted = _CHUNK
        return b"".join(pieces)
    finally:
        os.close(descriptor)


class _ReadDocument:
    """A document that the host holds."""

    def __init__(self, path: str, document: object) -> None:
        self._path = path
        self._document = document

    def read(self, reader: PolicyReader, findings: Findings) -> None:
        before = len(findings.items)
        try:
            text = write_json(self._document)
            try:
                reader.read(read_json(text, reader.texts, surrogates=True), Source(self._path, text))
            finally:
                lines = text.split("\n")
                findings.items[before:] = [self._located(item, lines) for item in findings.items[before:]]
        except DocumentError as error:
            findings.about_path(error.code, error.message, self._path, help=error.help)

    def _located(self, item: Diagnostic, lines: Sequence[str]) -> Diagnostic:
        where = item.location
        path = _path_in_json(lines, where.line) if where.path == self._path and where.line else ""
        return item._replace(location=where._replace(path=f"{where.path}: {path}")) if path else item


_decoder: Final = json.JSONDecoder()


def _path_in_json(lines: Sequence[str], line: int) -> str:
    """Return the path of the value on a line (from 1) of JSON text indented by two, such as ``spec.actions[2]``."""
    parts: list[str] = []
    indent = _indent(lines[line - 1])
    place = 0
    for number in range(line - 1, 0, -1):
        text, above = lines[number - 1], _indent(lines[number - 1])
        if above == indent and text[indent] not in "]}":
            place += 1
        elif above < indent:
            if text.endswith("["):
                parts.append(f"[{place}]")
            else:
                parts.append(f".{_decoder.raw_decode(lines[line - 1], indent)[0]}")
            line, indent, place = number, above, 0
    return "".join(reversed(parts)).removeprefix(".")


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip(" "))
