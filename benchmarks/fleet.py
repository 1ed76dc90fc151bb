"""What a fleet costs: to merge the signed runs of many shards, and to verify and admit the merge."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from benchmarks import projects
from benchmarks.figures import Comparison, Figure
from benchmarks.projects import cutover
from benchmarks.timing import Command, alternate, median_cpu_s, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.projects import Project
    from pytest_cutover.evidence.envelope import EnvelopeSigner
    from pytest_cutover.model import EffectivePolicy

GATES = 10
"""In each shard, one measurement each."""

AIM_MERGE_S = 10.0
"""For 1 000 shards: "seconds", beside jobs that take minutes."""


def figures(folder: Path, *, quick: bool) -> Iterator[Figure]:
    """Merge, verify (with and without the shards' own evidence) and admit, of 1 000 shards."""
    count = 100 if quick else 1000
    project = projects.instances(folder / "fleet", GATES)
    _make_shards(project, count)
    names = [f"shards/{n}" for n in range(count)]
    trusted = ("--trust", "trust.json")
    signed = {"CUTOVER_KEY": str(project.folder / "key.pem")}
    merge = cutover(project.folder, "merge", *names, "--plan", "preflight", *trusted)
    merge = replace(merge, environ=signed)
    run(merge)
    fleet = str(max((project.folder / "var/cutover/runs").iterdir()))
    commands = {
        "merge": merge,
        "verify": cutover(project.folder, "verify", fleet, *trusted),
        "all": cutover(project.folder, "verify", fleet, *trusted, "--shards", *names),
        "one": cutover(project.folder, "verify", names[0], *trusted),
        "help": cutover(project.folder, "merge", "--help"),
    }
    costs = alternate(commands, 3 if quick else 5)
    ms = {name: 1000 * median_cpu_s(cost) for name, cost in costs.items()}
    beside = (ms["one"], "cutover verify of one shard", Comparison.DIFFERENCE)
    scale = 1000 / count
    yield Figure(f"cutover merge, {count} shards", ms["merge"], "ms", *beside, 1000 * AIM_MERGE_S / scale)
    yield Figure("cutover merge, each shard", (ms["merge"] - ms["help"]) / count, "ms")
    yield Figure(f"cutover verify, {count} shards", ms["verify"], "ms", *beside)
    yield Figure(f"cutover verify --shards, {count} shards", ms["all"], "ms", *beside)
    peak = max(cost.peak_kib for cost in costs["merge"]) / 1024
    yield Figure(f"cutover merge, {count} shards: memory", peak, "MiB")
    size = sum(f.stat().st_size for f in (project.folder / fleet).iterdir()) / 1024
    yield Figure(f"evidence of a merge, {count} shards", size, "KiB")


def _make_shards(project: Project, count: int) -> None:
    """One real run of a shard, and from its journal those of all the others, each sealed as a run of its own."""
    _ask_for_shards(project, count)
    gates = project.gates()
    run(Command(gates.argv, gates.cwd, {**gates.environ, "CUTOVER_SHARD": "0"}, expect=12))
    from pytest_cutover.evidence.report import read_report
    from pytest_cutover.keys.signer import load_private_key

    made = project.last_run()
    report = read_report((made / "report.json").read_bytes())
    signer = load_private_key(project.folder / "key.pem")
    for n in range(count):
        _seal(project.folder / "shards" / str(n), _renamed(report.journal, str(n)), report.policy, signer)
    for file in sorted(made.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    made.rmdir()


def _ask_for_shards(project: Project, count: int) -> None:
    path = project.folder / "configs/policy.json"
    policy = json.loads(path.read_text(encoding="utf-8"))
    policy["plans"]["preflight"]["shards"] = [str(n) for n in range(count)]
    # A benchmark takes longer than the minutes between a fleet's jobs and its merge.
    policy["defaults"] = {"max_age_s": 86400, "decision_ttl_s": 86400}
    path.write_text(json.dumps(policy), encoding="utf-8")


def _renamed(journal: tuple[bytes, ...], shard: str) -> list[bytes]:
    """The journal as that shard's run would have written it."""
    head = json.loads(journal[0])
    nonce = hashlib.sha256(shard.encode()).hexdigest()[:32]
    head |= {"shard": shard, "nonce": nonce, "run_id": f"{head['run_id'][:-8]}{nonce[:8]}"}
    lines = [_line(head), *journal[1:-1]]
    tail = json.loads(journal[-1])
    return [*lines, _line(tail | {"nonce": nonce, "sha256": hashlib.sha256(b"".join(lines)).hexdigest()})]


def _line(event: dict[str, object]) -> bytes:
    return json.dumps(event, separators=(",", ":")).encode() + b"\n"


def _seal(folder: Path, lines: list[bytes], policy: EffectivePolicy, signer: EnvelopeSigner) -> None:
    from pytest_cutover.decision import decide
    from pytest_cutover.evidence.seal import seal
    from pytest_cutover.record import fold

    record = fold(lines)
    decision = decide(record, policy, datetime.now(UTC))
    sealed = seal(
        events=lines,
        record=record,
        policy=policy,
        policy_envelope=None,
        decision=decision,
        signer=signer,
    )
    folder.mkdir(parents=True)
    (folder / "report.json").write_bytes(sealed.report)
    (folder / "bundle.intoto.jsonl").write_bytes(sealed.bundle or b"")
