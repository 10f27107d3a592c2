"""Masks secrets in command lines, environments and other texts. Secrets are found by name and by format.

Any process can write these texts, so every search takes time linear in the text. Therefore users add globs and not
regular expressions. In doubt a word is masked.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from typing import Any, Final

from spyderresp.decision import Glob

MASK: Final = "[redacted]"

# Parts of names of secrets, such as `DB_PASSWORD`, `apiKey` and `x-auth-token`.
_PARTS: Final = frozenset(
    {"auth", "authorization", "bearer", "cookie", "cookies", "cred", "credential", "credentials", "creds", "jwt", "key",
     "keys", "otp", "pass", "passcode", "passphrase", "passwd", "password", "passwords", "pin", "secret", "secrets",
     "session", "sessionid", "sid", "sig", "signature", "token", "tokens", "totp"}
)  # fmt: skip
# Parts of names of secrets without separators, such as `mysecretkey`.
_INSIDE: Final = re.compile(
    "accesskey|apikey|authtoken|credential|passphrase|passwd|password|privatekey|secret|sessionid|token"
)
# Splits a name into parts, also where lower case changes to upper case.
_PART: Final = re.compile("[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_MAX_NAME: Final = 128
# Programs with a short option for a secret: its letters, and whether the secret may be the next word.
_OPTIONS: Final[dict[str, tuple[str, bool]]] = {
    **dict.fromkeys(("mysql", "mysqladmin", "mysqldump", "mysqlimport", "mariadb", "mariadb-dump"), ("p", False)),
    **dict.fromkeys(("7z", "7za", "7zr"), ("p", False)),
    **dict.fromkeys(("ldapadd", "ldapdelete", "ldapmodify", "ldappasswd", "ldapsearch"), ("w", True)),
    **dict.fromkeys(("mongo", "mongodump", "mongorestore", "mongosh", "rdesktop", "sshpass"), ("p", True)),
    **dict.fromkeys(("zip", "unzip", "zipcloak"), ("P", True)),
    "curl": ("uU", True),
    "redis-cli": ("a", True),
    "smbclient": ("U", True),
}
# The program is searched for in so many first words: `sudo env X=1 timeout 5 mysql`.
_MAX_PROGRAM_WORD: Final = 12

_WORD: Final = re.compile(r"[A-Za-z0-9_.\-]+")
_SEPARATOR: Final = re.compile(r"""["']?\s{0,4}(?:=>|:?=|:|%3[DdAa])\s{0,4}""")
_GAP: Final = re.compile(r"\s{1,4}(?!-)")
_VALUE: Final = re.compile(r""""(?:[^"\\]|\\.)*"?|'[^']*'?|[^\s&;,"'<>]+""", re.DOTALL)
# Headers whose value ends at the end of the line or of the quoted word.
_WHOLE_LINE: Final = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})
_LINE: Final = re.compile(r"""[^\r\n"']+""")
_SHAPES: Final = re.compile(
    r"""
      -----BEGIN\ [A-Z0-9 ]{0,40}PRIVATE\ KEY(?:\ BLOCK)?-----.*?
        (?:-----END\ [A-Z0-9 ]{0,40}PRIVATE\ KEY(?:\ BLOCK)?-----|\Z)
    | (?<=://)[^\s/?#"']{1,512}(?=@)                             # user and password of a URL
    | \beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]*)? # a JSON web token
    | \b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b                    # AWS
    | \bgh[opsur]_[A-Za-z0-9]{20,} | \bgithub_pat_\w{20,}
    | \bglpat-[A-Za-z0-9_-]{16,}
    | \bxox[a-z]-[A-Za-z0-9-]{10,} | \bxapp-[A-Za-z0-9-]{10,}    # Slack
    | \bhooks\.slack\.com/services/[A-Za-z0-9/]+
    | \b[rs]k_(?:live|test)_[A-Za-z0-9]{10,}                     # Stripe
    | \bAIza[A-Za-z0-9_-]{30,}                                   # Google
    | \bya29\.[A-Za-z0-9_-]{20,}
    | \bnpm_[A-Za-z0-9]{30,} | \bpypi-[A-Za-z0-9_-]{50,}
    | \bsk-[A-Za-z0-9_-]{20,}
    | \b(?:hvs|hvb|hvr)\.[A-Za-z0-9_-]{20,}                      # Vault
    | \bdo[opr]_v1_[a-f0-9]{40,}
    | \bwhsec_[A-Za-z0-9+/=]{16,}
    | \bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}               # SendGrid
    """,
    re.VERBOSE | re.DOTALL,
)
_SCHEME: Final = re.compile(
    r"\b(bearer|basic|negotiate|digest|token|apikey)(\s{1,4})[A-Za-z0-9._~+/=\-]{6,}", re.IGNORECASE
)
_SPACES: Final = re.compile(r"(\s+)")
_TOKEN: Final = re.compile(r"""[^\s"'=&;,:?<>()]+""")


class Redaction:
    """Finds and masks secrets: those that this module lists, and those of the arguments.

    Args:
        names: globs for further names of secrets; case is ignored.
        words: globs for words that are secrets.
    """

    def __init__(self, names: Sequence[str] = (), words: Sequence[str] = ()) -> None:
        self._names = tuple(Glob(name.lower()) for name in names)
        self._words = tuple(Glob(word) for word in words)

    def names_secret(self, name: str) -> bool:
        """Return whether an option, variable or key of this name holds a secret."""
        short = name[:_MAX_NAME]
        lower = short.lower()
        if any(glob.matches(lower) for glob in self._names):
            return True
        parts = [part.lower() for part in _PART.findall(short)]
        if parts in (["pwd"], ["oldpwd"]):
            # The working directory of a shell. Other names with `pwd`, such as `MYSQL_PWD`, hold secrets.
            return False
        if "pwd" in parts or not _PARTS.isdisjoint(parts):
            return True
        return _INSIDE.search("".join(parts)) is not None

    def text(self, text: str) -> str:
        """Return a text with secrets masked."""
        parts = _SPACES.split(text)
        parts[::2] = self._options(parts[::2])
        masked = _SHAPES.sub(MASK, "".join(parts))
        masked = _SCHEME.sub(rf"\1\2{MASK}", masked)
        masked = self._named(masked)
        if self._words:
            masked = _TOKEN.sub(
                lambda found: MASK if any(glob.matches(found[0]) for glob in self._words) else found[0], masked
            )
        return masked

    def words(self, words: Sequence[str]) -> list[str]:
        """Return the words of a command line with secrets masked. A secret may be the word after its option."""
        masked = [self.text(word) for word in self._options(words)]
        for index, (word, follower) in enumerate(itertools.pairwise(words), start=1):
            # A longer word is a text and not an option.
            if 1 < len(word) <= _MAX_NAME and word[0] == "-" and "=" not in word and not follower.startswith("-"):
                if self.names_secret(word):
                    masked[index] = MASK
                elif word in ("-H", "--header") and self.names_secret(follower.partition(":")[0]):
                    masked[index] = f"{self.text(follower.partition(':')[0])}: {MASK}"
        return masked

    def _options(self, words: Sequence[str]) -> list[str]:
        """Mask the secrets in short options of the programs in ``_OPTIONS``."""
        masked = list(words)
        programs = (word[-_MAX_NAME:].rpartition("/")[2] for word in words[:_MAX_PROGRAM_WORD])
        start = next((index for index, name in enumerate(programs) if name in _OPTIONS), None)
        if start is None:
            return masked
        letters, next_word = _OPTIONS[words[start][-_MAX_NAME:].rpartition("/")[2]]
        for index in range(start + 1, len(words)):
            word = words[index]
            if word[:1] != "-" or word[:2] == "--":
                continue
            at = next((at for at in range(1, min(len(word), _MAX_NAME)) if word[at] in letters), 0)
            if not at:
                continue
            if word[at + 1 :]:
                masked[index] = word[: at + 1] + MASK
            elif next_word and index + 1 < len(words):
                masked[index + 1] = MASK
        return masked

    def _named(self, text: str) -> str:
        """Mask the values after names of secrets: ``name=value``, ``"name": "value"``, ``--name value``."""
        kept = []
        copied = at = 0
        while (word := _WORD.search(text, at)) is not None:
            at = word.end()
            gap = _SEPARATOR.match(text, at)
            option = gap is None and word[0][0] == "-"
            if option:
                gap = _GAP.match(text, at)
            if gap is None or not self.names_secret(word[0]):
                continue
            shape = _LINE if not option and word[0].lower() in _WHOLE_LINE else _VALUE
            value = shape.match(text, gap.end()) or _VALUE.match(text, gap.end())
            if value is None:
                at = gap.end()
                continue
            kept += [text[copied : value.start()], MASK]
            copied = at = value.end()
        return "".join([*kept, text[copied:]])


# Values that every JSON reader accepts, of bounded size.

#: The most characters of one text. Paths of Linux are not longer.
MAX_TEXT: Final = 4096
#: Replaces the rest of a text that was cut.
CUT: Final = "…"


def clean(text: str, most: int = MAX_TEXT) -> str:
    """Return a text of at most ``most`` characters without lone surrogates.

    A lone surrogate becomes a backslash escape. Python uses lone surrogates for bytes of a path that are not UTF-8;
    strict JSON readers would reject a whole batch because of one.
    """
    kept = text if len(text) <= most else text[: most - 1] + CUT
    return kept if kept.isascii() else kept.encode("utf-8", "backslashreplace").decode("utf-8")


def scalar(value: Any) -> str | int | float | bool | None:
    """Return a string (by ``clean``), a boolean, or a number that all JSON readers can read; else None."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if -(2**63) <= value < 2**64 else None
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return None
