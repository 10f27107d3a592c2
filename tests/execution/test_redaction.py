"""Secrets in free text: known by name and by shape."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spyderresp.execution.flags.redaction import MASK, Redaction

REDACTION = Redaction()
SECRET = "Hunter2xYz"

# The secret stands where `§` does.
TEXTS = [
    "password=§",
    "password = '§'",
    'PASSWORD="§ and §"',
    "pass: §",
    "--password §",
    "--password=§ --verbose",
    "--db-password\t§",
    "-password §",
    "DB_PASSWORD=§",
    "MYSQL_PWD=§",
    "apiKey=§",
    "API_KEY: §",
    "x-api-key: §",
    '{"client_secret": "§", "a": 1}',
    "{'token': '§'}",
    '{"password":"a\\"§"}',
    "https://me:§@example.com/x",
    "https://§@example.com/x",
    "postgres://u:§@db:5432/x?sslmode=on",
    "amqp://u:a%40§@h",
    "https://example.com/?key=§&x=1",
    "https://example.com/?x=1&access_token=§#f",
    "https://example.com/?sig=§",
    "token%3D§",
    "Authorization: Bearer §",
    "authorization: Basic §",
    "curl -H 'Authorization: Token §' https://example.com",
    "curl -H 'X-Vault-Token: §'",
    "Cookie: a=§; b=§; c=§",
    "Set-Cookie: sid=§; Path=/",
    "bearer §",
    "curl -u me:§ https://example.com",
    "curl -ume:§ https://example.com",
    "/usr/bin/mysql -u root -p§ db",
    "sudo -n env A=1 mysqldump -p§",
    "sshpass -p § ssh host",
    "redis-cli -a § ping",
    "ldapsearch -x -w §",
    "7z a -p§ x.7z",
    "JWT=§",
    "otp=§",
    "signature=§",
    "secret:=§",
    "'secret' => '§'",
]
SHAPES = [
    "AKIAIOSFODNN7EXAMPLE",
    "ghp_" + "a1B2" * 9,
    "github_pat_" + "a1B2" * 9,
    "glpat-" + "a1B2" * 5,
    "xoxb-" + "123456789012-abcDEF",
    "https://hooks.slack.com/services/T000/B000/XXXX",
    "sk_live_" + "a1B2" * 6,
    "AIza" + "a1B2" * 9,
    "npm_" + "a1B2" * 9,
    "sk-" + "a1B2" * 8,
    "hvs." + "a1B2" * 8,
    "whsec_" + base64.b64encode(b"x" * 24).decode(),
    "SG." + "a1B2" * 5 + "." + "a1B2" * 5,
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-_123",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----\nMIIE and it is cut off",
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_secret_with_a_name_is_masked(text: str) -> None:
    assert "§" in text
    masked = REDACTION.text(text.replace("§", SECRET))
    assert SECRET not in masked
    assert MASK in masked


@pytest.mark.parametrize("secret", SHAPES)
def test_a_secret_is_known_by_its_shape(secret: str) -> None:
    masked = REDACTION.text(f"run {secret} now") if "cut off" not in secret else REDACTION.text(secret)
    for part in secret.splitlines():
        core = part.removeprefix("https://")
        assert core not in masked
    assert MASK in masked


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ls -la /var/lib/docker",
        "find / -perm -4000 -path /proc -prune",
        "iptables -w 5 -W 100000 -S KUBE-PROXY-CANARY -t mangle",
        "python -m http.server --port 8080",
        "ssh -p 22 me@example.com",
        "git clone ssh://example.com/a/b",
        "PWD=/root OLDPWD=/tmp",
        "/bin/sh -c 'echo a: b; c=d'",
        "author=me monkey=1 compass=north",
        '12:30:00 level=info msg="it\'s fine"',
        "curl https://example.com/a@b",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert REDACTION.text(text) == text


@pytest.mark.parametrize(
    ("words", "masked"),
    [
        (["x", "--password", "S", "-v"], ["x", "--password", MASK, "-v"]),
        (["x", "--password", "-v"], ["x", "--password", "-v"]),
        (["x", "--password=S y"], ["x", f"--password={MASK} y"]),
        (["mysql", "-pS", "db"], ["mysql", f"-p{MASK}", "db"]),
        (["curl", "-sSu", "me:S"], ["curl", "-sSu", MASK]),
        (["curl", "-H", "X-Auth: S S"], ["curl", "-H", f"X-Auth: {MASK}"]),
        (["curl", "-H", "Authorization: Bearer SSSSSSSS"], ["curl", "-H", f"Authorization: {MASK}"]),
        (["sshpass", "-p", "S", "ssh"], ["sshpass", "-p", MASK, "ssh"]),
        (["sh", "-c", "mysql -pS"], ["sh", "-c", f"mysql -p{MASK}"]),
        ([], []),
        (["--password"], ["--password"]),
        (["", "-", "--", "-p"], ["", "-", "--", "-p"]),
    ],
)
def test_words_of_a_command_line(words: list[str], masked: list[str]) -> None:
    assert REDACTION.words(words) == masked


names = st.sampled_from(["password", "DB_PASSWORD", "apiKey", "x-auth-token", "client.secret", "passwd2"])
secrets = st.text(st.sampled_from("ABCdef123._~+/"), min_size=8, max_size=40)
words = st.text(st.sampled_from("abc xyz./'\"{}[]\n\t"), max_size=40)


@given(words, names, st.sampled_from(["=", ": ", "=>", '":"']), secrets, words)
def test_whatever_stands_around_it(before: str, name: str, separator: str, secret: str, after: str) -> None:
    assert secret not in REDACTION.text(f"{before} {name}{separator}{secret} {after}")


@given(st.text(max_size=300))
def test_masking_takes_any_text_and_masks_once(text: str) -> None:
    masked = REDACTION.text(text)
    assert REDACTION.text(masked).count(MASK) >= masked.count(MASK)


@given(st.lists(st.text(max_size=30), max_size=8))
def test_as_many_words_come_back(given_words: list[str]) -> None:
    assert len(REDACTION.words(given_words)) == len(given_words)


UNITS = [
    "a", "-", "=", ":", "'", '"', '\\"', "://", "://a", "password=", 'password="', "eyJaaaaaaaaa.", "A", "aA", "%3D",
    "-----BEGIN PRIVATE KEY-----", "-----BEGIN ", " ", "\n", "mysql -p", "bearer ", "Cookie:", "sk-", "token ", "@",
    "AKIA",
]  # fmt: skip
QUICK = {"a", "://", "password=", "-----BEGIN "}


@pytest.mark.parametrize(
    "unit", [pytest.param(unit, marks=[] if unit in QUICK else [pytest.mark.slow]) for unit in UNITS]
)
def test_text_made_to_be_slow_is_not(unit: str) -> None:
    """Linear, so a megabyte ends at once; anything worse would not end within the life of the test run."""
    text = unit * (1_000_000 // len(unit))
    Redaction(("*pin*",), ("*a*b*",)).text(text)
