from __future__ import annotations

import os
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

from pytest_cutover.errors import AdapterError, ConfigError
from pytest_cutover.keys.signer import (
    DEVELOPMENT_KEY,
    MAX_KEY_BYTES,
    PemSigner,
    generate,
    load_private_key,
    load_private_pem,
    load_signer,
    public_path,
    write_new_private,
)
from pytest_cutover.keys.verifier import KeyKind, load_public_key
from pytest_cutover.model import SignerKind

if TYPE_CHECKING:
    from pathlib import Path

KINDS = list(KeyKind)
PEM = generate(KeyKind.ED25519)
NO_PASSPHRASE: KeySerializationEncryption = NoEncryption()


def pem_of(
    private: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey,
    form: PrivateFormat = PrivateFormat.PKCS8,
    encryption: KeySerializationEncryption = NO_PASSPHRASE,
) -> bytes:
    return private.private_bytes(Encoding.PEM, form, encryption)


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "release.pem"
    assert write_new_private(path, PEM)
    return path


def silent(line: str) -> None:
    pytest.fail(f"nothing was to be said, got {line!r}")


def load(
    environ: dict[str, str], root: Path, option: str | None = None, said: list[str] | None = None
) -> PemSigner | None:
    signer = load_signer(environ, root, option=option, say=silent if said is None else said.append)
    assert signer is None or isinstance(signer, PemSigner)
    return signer


class TestLoadSigner:
    def test_the_option_wins_over_the_environment(self, key_file: Path, tmp_path: Path) -> None:
        signer = load({"CUTOVER_KEY": "/nowhere"}, tmp_path, option=str(key_file))

        assert signer is not None
        assert signer.kind is SignerKind.CONFIGURED

    def test_reads_the_path_from_the_environment(self, key_file: Path, tmp_path: Path) -> None:
        signer = load({"CUTOVER_KEY": str(key_file)}, tmp_path)

        assert signer is not None
        assert signer.keyid == load_private_pem(PEM, where="key").keyid

    @pytest.mark.parametrize("kind", KINDS)
    def test_reads_the_text_from_the_environment(self, kind: KeyKind, tmp_path: Path) -> None:
        signer = load({"CUTOVER_KEY_PEM": generate(kind).decode()}, tmp_path)

        assert signer is not None
        assert (signer.kind, signer.public.kind) == (SignerKind.CONFIGURED, kind)

    @pytest.mark.parametrize(
        "environ",
        [
            {"CUTOVER_KEY": ""},
            {"CUTOVER_KEY": "none"},
            {"CUTOVER_KEY_PEM": ""},
            {"CUTOVER_KEY_PEM": "none\n"},
            {"CUTOVER_KEY": "", "CUTOVER_KEY_PEM": ""},
        ],
    )
    def test_set_but_empty_means_unsigned(self, environ: dict[str, str], tmp_path: Path) -> None:
        """A fork's pull request gets empty secrets: no key, and no development key instead."""
        assert load(environ, tmp_path) is None
        assert not (tmp_path / DEVELOPMENT_KEY).exists()

    @pytest.mark.parametrize("option", ["", "none"])
    def test_the_option_can_switch_signing_off(self, option: str, tmp_path: Path) -> None:
        assert load({"CUTOVER_KEY_PEM": PEM.decode()}, tmp_path, option=option) is None

    def test_an_empty_path_leaves_the_text(self, tmp_path: Path) -> None:
        assert load({"CUTOVER_KEY": "", "CUTOVER_KEY_PEM": PEM.decode()}, tmp_path) is not None

    def test_two_keys_are_one_too_many(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="got both"):
            load({"CUTOVER_KEY": "a.pem", "CUTOVER_KEY_PEM": PEM.decode()}, tmp_path)

    def test_key_text_in_place_of_a_path_is_not_repeated(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="got key text") as caught:
            load({"CUTOVER_KEY": PEM.decode()}, tmp_path)
        assert PEM.splitlines()[1].decode() not in f"{caught.value} {caught.value.hint}"

    def test_base64_in_place_of_a_path_is_not_repeated(self, tmp_path: Path) -> None:
        secret = PEM.splitlines()[1].decode()

        with pytest.raises(ConfigError, match=r"a value of 64 characters") as caught:
            load({"CUTOVER_KEY": secret}, tmp_path)
        assert secret not in f"{caught.value} {caught.value.hint}"


class TestDevelopmentKey:
    def test_is_made_private_and_said_once(self, tmp_path: Path) -> None:
        said: list[str] = []
        first, second = (load({}, tmp_path, said=said) for _ in range(2))
        path = tmp_path / DEVELOPMENT_KEY

        assert first is not None
        assert second is not None
        assert first.keyid == second.keyid
        assert first.kind is SignerKind.DEVELOPMENT
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert len(said) == 1
        assert "only that nothing changed" in said[0]

    def test_its_public_half_is_beside_it(self, tmp_path: Path) -> None:
        signer = load({}, tmp_path, said=[])
        assert signer is not None
        public = tmp_path / "var/cutover/keys/development.pub.pem"
        assert load_public_key(public.read_text(), where="public") == signer.public

        public.write_text("something else")
        load({}, tmp_path)
        assert load_public_key(public.read_text(), where="public") == signer.public

    def test_runs_that_start_at_once_agree_on_one(self, tmp_path: Path) -> None:
        with ThreadPoolExecutor(8) as pool:
            signers = list(pool.map(lambda _: load({}, tmp_path, said=[]), range(8)))

        assert len({s.keyid for s in signers if s is not None}) == 1
        assert sorted(p.name for p in (tmp_path / DEVELOPMENT_KEY).parent.iterdir()) == [
            "development.pem",
            "development.pub.pem",
        ]

    def test_a_folder_that_takes_no_file_is_an_error_for_people(self, tmp_path: Path) -> None:
        (tmp_path / "var").write_text("a file where a folder is needed")

        with pytest.raises(AdapterError, match="cannot write the key"):
            load({}, tmp_path, said=[])


class TestLoadPrivateKey:
    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
    def test_a_key_others_may_read_is_refused(self, key_file: Path, mode: int) -> None:
        key_file.chmod(mode)

        with pytest.raises(ConfigError, match=f"got mode {mode:04o}") as caught:
            load_private_key(key_file)
        assert "chmod 600" in str(caught.value.hint)

    def test_read_only_for_the_owner_is_fine(self, key_file: Path) -> None:
        key_file.chmod(0o400)

        assert load_private_key(key_file).kind is SignerKind.CONFIGURED

    def test_a_missing_file_says_how_to_make_one(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="no such key file") as caught:
            load_private_key(tmp_path / "gone.pem")
        assert "cutover keys new" in str(caught.value.hint)

    def test_a_folder_that_is_no_key_ring_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="there is no key ring"):
            load_private_key(tmp_path)

    def test_a_name_no_file_can_have_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="not a usable file name"):
            load_private_key(tmp_path / "a\0b")

    def test_a_large_file_is_not_read_whole(self, tmp_path: Path) -> None:
        path = tmp_path / "big"
        assert write_new_private(path, b"x" * (MAX_KEY_BYTES + 1))

        with pytest.raises(ConfigError, match="more than 65536 bytes"):
            load_private_key(path)


class TestLoadPrivatePem:
    def test_sec1_of_older_openssl_is_read(self) -> None:
        pem = pem_of(ec.generate_private_key(ec.SECP256R1()), PrivateFormat.TraditionalOpenSSL)

        assert load_private_pem(pem, where="key").public.kind is KeyKind.ECDSA_P256

    def test_openssl_made_keys_are_read(self) -> None:
        pem = subprocess.run(
            ["openssl", "genpkey", "-algorithm", "ed25519"], capture_output=True, check=True
        ).stdout

        assert load_private_pem(pem, where="key").public.kind is KeyKind.ED25519

    @pytest.mark.parametrize(
        ("pem", "message"),
        [
            (pem_of(rsa.generate_private_key(65537, 2048)), "got RSA"),
            (pem_of(ec.generate_private_key(ec.SECP384R1())), "got secp384r1"),
            (
                pem_of(ed25519.Ed25519PrivateKey.generate(), encryption=BestAvailableEncryption(b"secret")),
                "encrypted with a passphrase",
            ),
            (
                pem_of(ed25519.Ed25519PrivateKey.generate(), PrivateFormat.OpenSSH),
                "got an OpenSSH key",
            ),
            (load_private_pem(PEM, where="key").public_pem(), "got a public key"),
            (PEM.replace(b"\n", b"\\n"), "two characters"),
            (PEM[:-40], "damaged PEM"),
            (b"hello", "something else"),
            (b"\xff\xfe\0", "something else"),
        ],
        # Not the key's own text, which is another one in each xdist worker.
        ids=["RSA", "P-384", "encrypted", "OpenSSH", "public", "one-line", "cut-off", "text", "bytes"],
    )
    def test_other_keys_are_refused_without_being_shown(self, pem: bytes, message: str) -> None:
        with pytest.raises(ConfigError, match=message) as caught:
            load_private_pem(pem, where="CUTOVER_KEY_PEM")
        assert caught.value.hint
        shown = f"{caught.value} {caught.value.hint} {caught.value.__cause__}"
        assert not [line for line in pem.split(b"\n") if len(line) > 40 and line.decode("latin-1") in shown]

    def test_its_repr_holds_no_key(self) -> None:
        signer = load_private_pem(PEM, where="key")

        assert repr(signer) == f"<PemSigner ed25519 {signer.keyid[:16]}>"


class TestWriteNewPrivate:
    def test_never_overwrites(self, key_file: Path) -> None:
        assert not write_new_private(key_file, generate(KeyKind.ED25519))
        assert key_file.read_bytes() == PEM

    def test_leaves_nothing_beside_it(self, key_file: Path) -> None:
        write_new_private(key_file, PEM)

        assert [p.name for p in key_file.parent.iterdir()] == ["release.pem"]

    def test_is_private_whatever_the_umask(self, tmp_path: Path) -> None:
        before = os.umask(0)
        try:
            write_new_private(tmp_path / "key.pem", PEM)
        finally:
            os.umask(before)

        assert stat.S_IMODE((tmp_path / "key.pem").stat().st_mode) == 0o600


class TestPublicPath:
    @pytest.mark.parametrize(
        ("name", "public"), [("a.pem", "a.pub.pem"), ("a", "a.pub.pem"), ("a.key", "a.key.pub.pem")]
    )
    def test_is_beside_the_private_key(self, name: str, public: str, tmp_path: Path) -> None:
        assert public_path(tmp_path / name) == tmp_path / public
