"""`cutover debug`: published vectors as arguments, and exit codes 0, 1 and 2 that mean what they say."""

from __future__ import annotations

import base64
import io
import json
import sys
from pathlib import Path

import pytest

from pytest_cutover import cli
from pytest_cutover.evidence.envelope import pae
from pytest_cutover.keys.signer import generate, load_private_pem
from pytest_cutover.keys.verifier import KeyKind
from tests.unit.tlog.test_cosignature import REAL, REAL_KEY
from tests.unit.tlog.test_note import C2SP, C2SP_KEY, GO, GO_KEY, GO_OTHER_KEY

VECTORS = Path(__file__).parents[2] / "vectors" / "rfc6962"

# RFC 8032 section 7.1, test 2.
PUBLIC = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
SIGNATURE = (
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)
# RFC 6979 appendix A.2.5, P-256 with SHA-256, message "sample".
POINT = (
    "0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"
    "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299"
)
R = "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
S = "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"
DER = f"3046022100{R}022100{S}"


@pytest.fixture
def debug(capsys):
    """`cutover debug …`: exit code and what it printed."""

    def call(*arguments):
        capsys.readouterr()
        try:
            code = cli.main(["debug", *map(str, arguments)])
        except SystemExit as exc:
            code = exc.code
        said = capsys.readouterr()
        return code, said.out + said.err

    return call


class TestSignature:
    def check(self, debug, **changes):
        given = {"key": PUBLIC, "message": "72", "signature": SIGNATURE, **changes}
        return debug("verify-signature", *(part for k, v in given.items() for part in (f"--{k}", v)))

    def test_of_rfc_8032(self, debug):
        assert self.check(debug) == (0, "valid\n")

    def test_of_rfc_6979(self, debug):
        assert self.check(debug, key=POINT, message="text:sample", signature=DER) == (0, "valid\n")
        assert self.check(debug, key=POINT, message="text:simple", signature=DER)[0] == 1

    @pytest.mark.parametrize(
        "changes",
        [
            {"message": "73"},
            {"message": "hex:"},
            {"signature": SIGNATURE[:-2] + "01"},
            {"signature": SIGNATURE[:-2]},
            {"signature": "00"},
            {"key": "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"},
        ],
    )
    def test_what_does_not_fit_is_invalid(self, debug, changes):
        code, said = self.check(debug, **changes)

        assert code == 1
        assert said.startswith("invalid: the signature does not fit")

    @pytest.mark.parametrize(
        "changes",
        [
            {"key": "text:short"},
            {"key": POINT[:-2] + "98"},
            {"key": "@nowhere"},
            {"message": "zz"},
            {"message": "hex:7"},
            {"message": "base64:7"},
            {"message": "base65:7777"},
            {"signature": "not one"},
        ],
    )
    def test_what_cannot_be_read_is_unusable(self, debug, changes):
        code, said = self.check(debug, **changes)

        assert code == 2
        assert said.startswith("error: ")

    def test_every_form_of_a_value(self, debug, tmp_path, monkeypatch):
        (tmp_path / "message").write_bytes(b"r")
        text = base64.b64encode(bytes.fromhex(SIGNATURE)).decode()
        forms = ["hex:72", "base64:cg==", "text:r", f"@{tmp_path / 'message'}", "cg=="]
        assert [self.check(debug, message=form)[0] for form in forms] == [0] * 5
        urlsafe = text.replace("+", "-").replace("/", "_")
        assert [self.check(debug, signature=s)[0] for s in (text, urlsafe, f"base64:{text}")] == [0] * 3
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"r")))
        assert self.check(debug, message="@-")[0] == 0

    def test_a_dsse_payload_and_a_pem_key(self, debug, tmp_path):
        signer = load_private_pem(generate(KeyKind.ED25519), where="test")
        (tmp_path / "key.pub.pem").write_bytes(signer.public_pem())
        signature = signer.sign(pae("a/b", b"payload")).hex()
        given = {"key": f"@{tmp_path / 'key.pub.pem'}", "message": "text:payload", "signature": signature}

        assert self.check(debug, **given, dsse="a/b")[0] == 0
        assert self.check(debug, **given, dsse="a/c")[0] == 1
        assert self.check(debug, **given)[0] == 1


def vectors(kind):
    return [json.loads(line) for line in (VECTORS / f"{kind}.jsonl").read_text("utf-8").splitlines()]


def values(v):
    return [part for value in v["proof"] or [] for part in ("--proof", f"base64:{value}")]


class TestProofs:
    def test_inclusion_vectors_of_others(self, debug):
        for v in vectors("inclusion"):
            code, said = debug(
                *("verify-inclusion", "--index", v["leafIdx"], "--size", v["treeSize"]),
                *("--root", f"base64:{v['root']}", "--leaf-hash", f"base64:{v['leafHash']}", *values(v)),
            )

            assert code == int(v["wantErr"]), (v["file"], said)

    def test_consistency_vectors_of_others(self, debug):
        for v in vectors("consistency"):
            code, said = debug(
                *("verify-consistency", "--old-size", v["size1"], "--new-size", v["size2"]),
                *("--old-root", f"base64:{v['root1']}", "--new-root", f"base64:{v['root2']}", *values(v)),
            )

            assert code == int(v["wantErr"]), (v["file"], said)

    def test_of_an_entry(self, debug):
        root = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
        given = ("verify-inclusion", "--index", "0", "--size", "1", "--root", root, "--entry")

        assert debug(*given, "hex:") == (0, "valid\n")
        assert debug(*given, "00")[0] == 1
        assert debug(*given, "xx")[0] == 2

    @pytest.mark.parametrize(
        "arguments",
        [
            ["verify-inclusion"],
            ["verify-inclusion", "--index", "x"],
            ["verify-consistency"],
            ["verify-note", "n"],
            [],
        ],
    )
    def test_what_is_left_out_is_a_usage_error(self, debug, arguments):
        assert debug(*arguments)[0] == 64


class TestNote:
    @pytest.mark.parametrize(
        ("text", "keys", "names"),
        [
            (C2SP, [C2SP_KEY], "example.com/foo"),
            (GO, [GO_KEY, GO_OTHER_KEY], "PeterNeumann, EnochRoot"),
            (REAL, [REAL_KEY], "remora.n621.de"),
        ],
    )
    def test_published_notes(self, debug, tmp_path, text, keys, names):
        (tmp_path / "note").write_text(text)
        given = [part for key in keys for part in ("--vkey", key)]

        assert debug("verify-note", tmp_path / "note", *given) == (0, f"valid: signed by {names}\n")

    def test_what_is_invalid_and_what_unusable(self, debug, tmp_path):
        path = tmp_path / "note"
        for text in (C2SP.replace("This", "That"), C2SP[:-1], "", GO):
            path.write_text(text)
            code, said = debug("verify-note", path, "--vkey", C2SP_KEY)
            assert code == 1
            assert said.startswith("invalid: ")

        assert debug("verify-note", path, "--vkey", C2SP_KEY[:-1])[0] == 2
        assert debug("verify-note", tmp_path / "nowhere", "--vkey", C2SP_KEY)[0] == 2


class TestCanonicalize:
    @pytest.fixture
    def canonical(self, debug, tmp_path):
        def call(text):
            (tmp_path / "d.json").write_bytes(text if isinstance(text, bytes) else text.encode())
            return debug("canonicalize", tmp_path / "d.json")

        return call

    def test_the_example_of_rfc_8785(self, canonical):
        """Section 3.2.2 to 3.2.4."""
        text = r"""{
            "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
            "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
            "literals": [null, true, false]
        }"""

        assert canonical(text) == (
            0,
            '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
            '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
        )

    def test_keys_are_sorted_by_utf_16_code_units(self, canonical):
        text = json.dumps(dict.fromkeys(("€", "\r", "דּ", "1", "😀", "\x80", "ö"), 0))

        code, said = canonical(text)

        assert code == 0
        assert list(json.loads(said)) == ["\r", "1", "\x80", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "{",
            '{"a":1,"a":1}',
            "NaN",
            "-Infinity",
            "1e400",
            "9007199254740992",
            r'"\ud800"',
            b'"\xff"',
            "1 2",
            "01",
            "[" * 100_000,
        ],
    )
    def test_what_has_no_canonical_form_is_invalid(self, canonical, text):
        code, said = canonical(text)

        assert code == 1
        assert said.startswith("invalid: ")

    def test_a_file_that_is_not_there_is_unusable(self, debug):
        assert debug("canonicalize", "nowhere")[0] == 2
