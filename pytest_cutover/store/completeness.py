"""What only a transparency log shows of a store: that a decision was dropped, or that all of it is an older copy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_cutover.evidence.problems import EvidenceProblem, ProblemCode
from pytest_cutover.store.layout import BUNDLE_FILE, HISTORY, key_of
from pytest_cutover.tlog.audit import Pinned, audit, verified_entries
from pytest_cutover.tlog.checkpoint import parse_checkpoint
from pytest_cutover.tlog.entry import EntryKind, known_entry
from pytest_cutover.tlog.proof import parse_proof

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from pytest_cutover.tlog.log import Log


@dataclass(frozen=True, slots=True)
class InStore:
    """What a store holds, as far as a log knows of it."""

    runs: Mapping[str, tuple[str, bool]]
    """Of each run that is whole: the SHA-256 of its bundle, and whether it belongs into a log."""
    bundles: Collection[str]
    """SHA-256 of every bundle that is there, or that was collected."""
    no_gos: Collection[str]
    """Runs whose decision, verified, is a NO-GO that says that no log took it."""
    collected: Mapping[str, str]
    """SHA-256 of the bundle of each run that was collected; empty where it had none."""
    proofs: Mapping[str, bytes]
    """Verified proofs by key."""
    environments: Collection[str]


def check_log(log: Log, pinned: Sequence[Pinned], store: InStore) -> tuple[list[EvidenceProblem], int]:
    """What is wrong, and how many of the runs the log holds.

    The log has to verify, to go on from every checkpoint that was pinned or that a proof in the store holds, and what
    it holds for an environment of the store has to be in the store.

    Raises:
        StoreUnavailableError: the log cannot be read.
        VerificationError: it was changed meanwhile.
    """
    found = audit(log, [*pinned, *_in_proofs(log, store.proofs)])
    if found.problems:
        code = ProblemCode.STORE_LOG_INVALID
        return [EvidenceProblem(code, f"{p.code.value}: {p.message}", p.where) for p in found.problems], 0
    logged = verified_entries(log, found.verification)
    decisions = list(_decisions(logged, store.environments))
    digests = {digest for digest, _ in decisions}
    problems = [
        EvidenceProblem(
            ProblemCode.STORE_NOT_LOGGED, f"no entry of {log.origin} names it", key_of(run_id, BUNDLE_FILE)
        )
        for run_id, (bundle, is_to_be_logged) in store.runs.items()
        if is_to_be_logged and bundle not in digests
    ]
    # A run that was sealed again, as its key was rotated meanwhile, is logged twice: the last one counts.
    last = {name: digest for digest, name in decisions}
    # Where a log took a GO and did not prove or cosign it, the run came to a NO-GO that no log holds: there is no GO.
    no_gos = {
        *store.no_gos,
        *(run for run, bundle in store.collected.items() if bundle not in {*digests, ""}),
    }
    problems += [
        EvidenceProblem(
            ProblemCode.STORE_DECISION_MISSING,
            f"{log.origin} names the bundle {digest[:16]}…",
            f"{HISTORY}{name}",
        )
        for name, digest in last.items()
        if digest not in store.bundles and name not in no_gos
    ]
    return problems, sum(bundle in digests for bundle, _ in store.runs.values())


def _in_proofs(log: Log, proofs: Mapping[str, bytes]) -> Iterator[Pinned]:
    for where, proof in proofs.items():
        checkpoint = parse_checkpoint(parse_proof(proof).checkpoint)[0]
        if checkpoint.origin == log.origin:
            yield Pinned(checkpoint, where)


def _decisions(entries: Iterable[bytes], environments: Collection[str]) -> Iterator[tuple[str, str]]:
    """The digest and the run of each decision among the entries for one of the environments, in their order."""
    for data in entries:
        entry = known_entry(data)
        if entry is not None and entry.kind is EntryKind.DECISION and entry.environment in environments:
            yield entry.sha256, entry.name
