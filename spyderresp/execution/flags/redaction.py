"""Secrets in command lines, environments and other free text, found by name and by shape, and masked.

Every search here takes time linear in the text: it is written by whoever runs a process. So what a host adds are
globs, matched in bounded time, and no regular expressions. Masks too much rather than too little.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, Final

from spyderresp.decision import Glob

MASK: Final = "[redacted]"

# Parts of a name (`DB_PASSWORD`, `apiKey`, `x-auth-token`) that say that its value is a secret.
_PARTS: Final = frozenset(
    {"auth", "authorization", "bearer", "cookie", "cookies", "cred", "credential", "credentials", "creds", "jwt", "key",
     "keys", "otp", "pass", "passcode", "passphrase", "passwd", "password", "passwords", "pin", "secret", "secrets",
     "session", "sessionid", "sid", "sig", "signature", "token", "tokens", "totp"}
)  # fmt: skip
# The same written as one word, with others before and after it.
_INSIDE: Final = re.compile(
    "accesskey|apikey|authtoken|credential|passphrase|passwd|password|privatekey|secret|sessionid|token"
)
# Words of a name: by case, too.
_PART: Final = re.compile("[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_LONGEST_NAME: Final = 128
# Programs whose short options take a secret: the letter, and whether it may stand in the next word.
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
# `sudo env X=1 timeout 5 mysql`: how far to look for one of them.
_PREFIXED: Final = 12

_WORD: Final = re.compile(r"[A-Za-z0-9_.\-]+")
_SEPARATOR: Final = re.compile(r"""["']?\s{0,4}(?:=>|:?=|:|%3[DdAa])\s{0,4}""")
_GAP: Final = re.compile(r"\s{1,4}(?!-)")
_VALUE: Final = re.compile(r""""(?:[^"\\]|\\.)*"?|'[^']*'?|[^\s&;,"'<>]+""", re.DOTALL)
# What these headers hold goes to the end of the line, or of the quoted word that it stands in.
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
    """What is masked: what this module knows, and what a host adds.

    Args:
        names: globs for names whose values are secrets too, upper and lower case alike.
        words: globs for words that are secrets wherever they stand.
    """

    def __init__(self, names: Sequence[str] = (), words: Sequence[str] = ()) -> None:
        self._names = tuple(Glob(name.lower()) for name in names)
        self._words = tuple(Glob(word) for word in words)

    def names_secret(self, name: str) -> bool:
        """Tell whether the value of an option, a variable or a key of this name is a secret."""
        short = name[:_LONGEST_NAME]
        lower = short.lower()
        if any(glob.matches(lower) for glob in self._names):
            return True
        parts = [part.lower() for part in _PART.findall(short)]
        if parts in (["pwd"], ["oldpwd"]):
            # A shell's working directory. `MYSQL_PWD` is none.
            return False
        if "pwd" in parts or not _PARTS.isdisjoint(parts):
            return True
        return _INSIDE.search("".join(parts)) is not None

    def text(self, text: str) -> str:
        """Return a text with its secrets masked."""
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
        """Return the words of a command line with their secrets masked, those after an option in the next word too."""
        masked = [self.text(word) for word in self._options(words)]
        for place, word in enumerate(words[:-1]):
            follower = words[place + 1]
            # Beyond this length it is text, and no option.
            if 1 < len(word) <= _LONGEST_NAME and word[0] == "-" and "=" not in word and not follower.startswith("-"):
                if self.names_secret(word):
                    masked[place + 1] = MASK
                elif word in ("-H", "--header") and self.names_secret(follower.partition(":")[0]):
                    masked[place + 1] = f"{self.text(follower.partition(':')[0])}: {MASK}"
        return masked

    def _options(self, words: Sequence[str]) -> list[str]:
        """Mask what the short options of a known program hold."""
        masked = list(words)
        start, known = next(
            (
                (place, _OPTIONS[name])
                for place, word in enumerate(words[:_PREFIXED])
                if (name := word[-_LONGEST_NAME:].rpartition("/")[2]) in _OPTIONS
            ),
            (0, None),
        )
        if known is None:
            return masked
        letters, next_word = known
        for place in range(start + 1, len(words)):
            word = words[place]
            if word[:1] != "-" or word[:2] == "--":
                continue
            at = next((at for at in range(1, min(len(word), _LONGEST_NAME)) if word[at] in letters), 0)
            if not at:
                continue
            if word[at + 1 :]:
                masked[place] = word[: at + 1] + MASK
            elif next_word and place + 1 < len(words):
                masked[place + 1] = MASK
        return masked

    def _named(self, text: str) -> str:
        """Mask the values of secret names: ``name=value``, ``"name": "value"``, ``--name value``."""
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


# Values that are fit to leave: JSON of bounded size that every reader takes.

#: The most characters of one text; a Linux path has fewer.
LONGEST: Final = 4096
#: Stands where more was.
CUT: Final = "…"


def clean(text: str, most: int = LONGEST) -> str:
    """Return a text without lone surrogates, cut to ``most`` characters.

    A lone surrogate (how Python holds a byte of a path that is not UTF-8) becomes a backslash escape: strict JSON
    readers refuse a whole batch for one.
    """
    kept = text if len(text) <= most else text[: most - 1] + CUT
    if kept.isascii():
        return kept
    return kept.encode("utf-8", "backslashreplace").decode("utf-8")


def scalar(value: Any, most: int = LONGEST) -> str | int | float | bool | None:
    """Return a text, a truth value or a number that JSON readers agree on; None for anything else."""
    if isinstance(value, str):
        return clean(value, most)
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if -(2**63) <= value < 2**64 else None
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return None
