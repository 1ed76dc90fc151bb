"""Evidence to tamper with: kept, made of random runs, and of real runs of the shipped gates."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_cutover.decision import decide
from pytest_cutover.evidence.envelope import POLICY_TYPE, sign_envelope
from pytest_cutover.evidence.seal import BUNDLE_FILE, REPORT_FILE, seal
from pytest_cutover.evidence.verify import Verification, verify_bundle
from pytest_cutover.keys.signer import generate, load_private_pem
from pytest_cutover.keys.trust import TrustedKey, load_trust, trust_entry
from pytest_cutover.keys.verifier import KeyKind
from pytest_cutover.record import fold
from tests.properties.cases import SOAK, Choices, UnsuitableError
from tests.properties.strategies import any_run
from tests.unit.evidence.policies import under_its_document, written
from tests.unit.evidence.runs import anchor, signer, trusted
from tests.unit.journals import NOW, sign

if TYPE_CHECKING:
    import pytest

    from pytest_cutover.evidence.seal import Sealed
    from pytest_cutover.keys.trust import Anchor
    from pytest_cutover.keys.verifier import PublicKey

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "tests" / "vectors" / "evidence-1"
"""A real run of two gates, from `cutover run preflight`."""


@lru_cache(maxsize=4096)
def _verify(public: PublicKey, message: bytes, signature: bytes) -> bool:
    return public.verify(message, signature)


class RememberingKey(TrustedKey):
    """A key that checks no signature twice: of a changed bundle, most lines are those that it saw before."""

    def verify(self, message: bytes, signature: bytes) -> bool:
        return _verify(self.public, message, signature)


def remembering(keys: Anchor) -> Anchor:
    names = [field.name for field in fields(TrustedKey)]
    return replace(keys, keys=tuple(RememberingKey(**{n: getattr(k, n) for n in names}) for k in keys.keys))


@dataclass(frozen=True)
class Evidence:
    """A bundle, its report, and the keys that both are trusted under."""

    bundle: bytes
    report: bytes
    anchor: Anchor

    @classmethod
    def of(cls, sealed: Sealed, keys: Anchor) -> Evidence:
        assert sealed.bundle is not None
        return cls(sealed.bundle, sealed.report, remembering(keys))

    @classmethod
    def read(cls, folder: Path) -> Evidence:
        bundle, report = ((folder / name).read_bytes() for name in (BUNDLE_FILE, REPORT_FILE))
        return cls(bundle, report, remembering(load_trust(folder / "trust.json")))

    def verified(self) -> Verification:
        return verify_bundle(self.bundle, self.report, self.anchor)

    def lines(self) -> list[bytes]:
        return self.bundle.splitlines(keepends=True)

    def with_lines(self, lines: list[bytes]) -> Evidence:
        return replace(self, bundle=b"".join(lines))


# -- of random runs --------------------------------------------------------------------------

POOL = 2_000 if SOAK else 200
"""Sealed runs that cases share: sealing one and seeing that it verifies costs as much as three cases."""

_POLICY_KEY = signer()
_KEYS = (signer(KeyKind.ED25519), signer(KeyKind.ECDSA_P256))
_ANCHOR = anchor(*map(trusted, _KEYS), trusted(_POLICY_KEY, roles=frozenset({"policy"})))


def sealed_run(choices: Choices) -> Evidence:
    """A random run's evidence that verifies: GO or NO-GO, signed with either kind of key."""
    return _sealed(choices.randrange(POOL))


@lru_cache(maxsize=POOL)
def _sealed(number: int) -> Evidence:
    for seed in range(number, sys.maxsize, POOL):
        try:
            made = _seal(Choices(seed))
        except UnsuitableError:
            continue
        if (
            made.verified().is_valid
        ):  # not, for one, under a policy whose digest is what is wrong with the run
            return made
    raise AssertionError("there is always another seed")


def _seal(choices: Choices) -> Evidence:
    run = any_run(choices)
    policy = under_its_document(run.policy)
    run.events[0]["policy_digest"] = policy.digest
    lines = sign(run.events)
    record = fold(lines)
    key = choices.choice(_KEYS)
    decision = decide(record, policy, NOW)
    sealed = seal(
        events=lines,
        record=record,
        policy=policy,
        policy_envelope=sign_envelope(written(policy), POLICY_TYPE, _POLICY_KEY),
        decision=decision,
        signer=key,
    )
    return Evidence.of(sealed, _ANCHOR)


# -- of real runs ----------------------------------------------------------------------------


def real_run(kind: KeyKind, temporary: pytest.TempPathFactory) -> Evidence:
    """The evidence of one `pytest -m preflight` over the shipped gates, the same in every worker of pytest-xdist."""
    base = temporary.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = base / f"real-{kind.value}"
    with (base / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the first worker makes it, the others wait
        if not (folder / "trust.json").exists():
            _run_preflight(kind, folder)
    return Evidence.read(folder)


def _run_preflight(kind: KeyKind, folder: Path) -> None:
    project, key = folder / "project", folder / "key.pem"
    for name in ("gates", "configs", "pytest_cutover/service"):  # the policy's subject is the service's code
        shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
    (project / "pytest.ini").write_text("[pytest]\n")
    key.write_bytes(generate(kind))
    key.chmod(0o600)
    # Who signed the policy, and who signs the run: its gates verify what is in its store.
    trust = json.loads((project / "configs/trust.json").read_bytes())
    public = load_private_pem(key.read_bytes(), where=str(key)).public
    trust["keys"].append(trust_entry(public, name="release"))
    (project / "configs/trust.json").write_text(json.dumps(trust))
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("CUTOVER_", "PYTEST_", "COV_"))}
    command = [sys.executable, "-m", "pytest", "-m", "preflight", "gates", "-p", "no:cacheprovider"]
    ran = subprocess.run(
        command,
        cwd=project,
        env=kept | {"CUTOVER_KEY": str(key)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (run,) = (project / "var/cutover/runs").iterdir()
    for name in (BUNDLE_FILE, REPORT_FILE):
        shutil.copyfile(run / name, folder / name)
    (folder / "trust.json").write_text(json.dumps(trust))  # last: with it the folder is whole
