"""`Redactor`: secrets by shape and by value, and what must stay readable."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_cutover.redact import MARK, Redactor

AWS = "AKIAIOSFODNN7EXAMPLE"
GITHUB = "ghp_" + "a1B2" * 9
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N"
PEM = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIB\n-----END PRIVATE KEY-----"

by_shape = Redactor({})


class TestShapes:
    """Secrets that look like secrets."""

    @pytest.mark.parametrize(
        ("text", "secret"),
        [
            (f"key is {AWS}.", AWS),
            ("ASIA" + "X" * 16, "ASIA" + "X" * 16),
            (f"cloned with {GITHUB}", GITHUB),
            ("github_pat_" + "a" * 30, "github_pat_" + "a" * 30),
            ("glpat-" + "a" * 20, "glpat-" + "a" * 20),
            ("xoxb-1234567890-abc", "xoxb-1234567890-abc"),
            ("sk-" + "a" * 30, "sk-" + "a" * 30),
            (f"cookie={JWT};", JWT),
            (PEM, "MC4CAQAwBQYDK2VwBCIEIB"),
            (PEM.replace("PRIVATE", "RSA PRIVATE"), "MC4CAQAwBQYDK2VwBCIEIB"),
            (PEM[:50], "MC4CAQ"),
            ("Authorization: Bearer abc.def.ghi", "abc.def.ghi"),
            ("Authorization: Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
            ("{'authorization': 'hunter2hunter2'}", "hunter2hunter2"),
            ("sent bearer abcdefgh12345678", "abcdefgh12345678"),
            ("https://user:hunter2@host/path", "hunter2"),
            ("postgresql://:hunter2@db", "hunter2"),
            ("password=hunter2", "hunter2"),
            ("'client_secret': 'hunter2'", "hunter2"),
            ("?access_token=hunter2&x=1", "hunter2"),
            ("api-key: hunter2", "hunter2"),
            ("aws_secret_access_key = hunter2/+hunter2", "hunter2/+hunter2"),
        ],
    )
    def test_secret_is_gone(self, text: str, secret: str) -> None:
        """Whatever stands around it."""
        assert by_shape.found_in(text)
        assert secret not in by_shape(text)
        assert MARK in by_shape(text)

    @pytest.mark.parametrize(
        ("text", "left"),
        [
            ("password=hunter2", f"password={MARK}"),
            ("Authorization: Bearer abcdefgh", f"Authorization: {MARK}"),
            ("https://user:hunter2@host/p", f"https://user:{MARK}@host/p"),
            ('{"token": "hunter2", "n": 1}', f'{{"token": "{MARK}", "n": 1}}'),
        ],
    )
    def test_what_stands_around_it_stays(self, text: str, left: str) -> None:
        """A name without its value still tells what was wrong."""
        assert by_shape(text) == left

    @pytest.mark.parametrize(
        "text",
        [
            "p95 = 0.61 s, limit at most 0.5 s",
            "https://shop.example:8443/readyz?verbose",
            "tokens: 12 of 40",
            "the secret is safe",
            "sha256:" + "c" * 64,
            "-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----",
            "gates/test_auth.py::test_token",
            "",
        ],
    )
    def test_ordinary_text_stays(self, text: str) -> None:
        """Redacting too much hides what a person needs."""
        assert by_shape(text) == text
        assert not by_shape.found_in(text)


class TestValues:
    """Secrets that the environment names."""

    @pytest.mark.parametrize(
        "name",
        [
            *(
                "SHOP_TOKEN",
                "DB_PASSWORD",
                "db_passwd",
                "API_KEY",
                "APIKEY",
                "AWS_SECRET_ACCESS_KEY",
                "PASSPHRASE",
            ),
            *(
                "CLIENT_SECRET",
                "GIT_CREDENTIALS",
                "SESSION_ID",
                "COOKIE",
                "SENTRY_DSN",
                "BASIC_AUTH",
                "MY_KEY",
                "JWT",
            ),
            *("CUTOVER_KEY_PEM", "CONNECTION_STRING", "SIGNING_PRIVATE_KEY", "GITHUB_PAT"),
        ],
    )
    def test_value_of_a_secret_name_is_gone(self, name: str) -> None:
        """Wherever it turns up, without its name."""
        assert Redactor({name: "hunter2!"})("said hunter2! twice: hunter2!") == f"said {MARK} twice: {MARK}"

    @pytest.mark.parametrize(
        "name", ["PATH", "HOME", "PWD", "OLDPWD", "CUTOVER_KEY", "KEYBOARD", "MONKEY", "AUTHOR"]
    )
    def test_other_names_are_no_secrets(self, name: str) -> None:
        """A path in every message would be blotted out."""
        assert Redactor({name: "/srv/shop"})("/srv/shop/gates") == "/srv/shop/gates"

    def test_short_value_stays(self) -> None:
        """`TOKEN=1` must not turn every 1 into a mark."""
        assert Redactor({"TOKEN": "12345"})("12345") == "12345"

    @given(st.text(min_size=6, max_size=20).filter(lambda v: "\x00" not in v and v.strip() == v))
    def test_every_spelling_of_a_value_is_gone(self, value: str) -> None:
        """As it stands, in JSON, in an URL, in a repr, in basic authentication."""
        redactor = Redactor({"SHOP_TOKEN": value})

        assert value not in redactor(f"a {value} b").replace(MARK, "")
        for spelt in (json.dumps(value)[1:-1], quote(value, safe=""), repr(value)[1:-1]):
            assert redactor(f"<{spelt}>") == f"<{MARK}>"
        try:
            encoded = base64.b64encode(value.encode()).decode().rstrip("=")
        except UnicodeEncodeError:
            return
        assert encoded not in redactor(encoded)

    def test_longer_value_wins(self) -> None:
        """One secret within another leaves no rest behind."""
        redactor = Redactor({"A_TOKEN": "hunter", "B_TOKEN": "hunter-and-more"})

        assert redactor("hunter-and-more") == MARK

    @given(st.text(max_size=200))
    def test_any_text_is_accepted(self, text: str) -> None:
        """Twice is once: a mark is not redacted again."""
        once = Redactor({"SHOP_TOKEN": "hunter2"})(text)

        assert Redactor({"SHOP_TOKEN": "hunter2"})(once) == once
