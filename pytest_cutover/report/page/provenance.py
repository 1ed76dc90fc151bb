"""Where the run comes from: policy, gate code, release, target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_cutover.report.page.parts import evidence_words, time
from pytest_cutover.report.safe import html as esc
from pytest_cutover.report.view import carried_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_cutover.report.view import View


def render(view: View) -> Iterator[str]:
    """A line for each thing that decided over the verdict."""
    record, policy, evidence = view.record, view.policy, view.evidence
    pinned = "pinned by the policy" if policy.gate_code_digest else "not pinned"
    rows = [
        ("Run", f"<code>{esc(record.run_id)}</code> · {record.runner.value}"),
        ("Plan, environment", f"{esc(policy.plan)} → {esc(policy.environment)}"),
        (
            "Policy",
            f"{esc(policy.name)} v{policy.version}, {policy.signature.value} <code>{esc(policy.digest)}</code>",
        ),
        ("Gate code", f"{pinned} <code>{esc(record.gate_code_digest)}</code>"),
        (
            "Signed by",
            evidence_words(view) + (f" <code>{esc(evidence.keyid)}</code>" if evidence.keyid else ""),
        ),
    ]
    rows += [(what.capitalize(), esc(where)) for what, where in evidence.kept]
    for subject in record.subjects[:50]:
        digests = " ".join(f"<code>{esc(f'{n}:{v}')}</code>" for n, v in subject.digest.items())
        rows.append(("Release", f"{esc(subject.name)} {digests}"))
    if len(record.subjects) > 50:
        rows.append(("Release", f"and {len(record.subjects) - 50} more in report.json"))
    if not record.subjects:
        rows.append(("Release", "no digest was named"))
    if view.carried:
        rows.append(("Carried", esc(carried_words(view))))
    if record.shard is not None:
        rows.append(("Shard", esc(str(record.shard))))
    rows += [("Target", f"{esc(n)} {esc(u)}") for n, u in record.target.items()]
    rows.append(("Versions", esc(", ".join(f"{n} {v}" for n, v in record.versions.items()))))
    if view.last is not None:
        last = view.last
        rows.append(
            (
                "Compared with",
                f"<code>{esc(last.run_id)}</code>, {last.verdict.value}, {time(last.decided_at)}",
            )
        )
    else:
        rows.append(("Compared with", "no earlier run of this plan and environment whose evidence verifies"))
    yield '<section aria-labelledby="from"><h2 id="from">Provenance</h2>\n<dl class="prov">\n'
    yield from (f"<div><dt>{name}</dt><dd>{text}</dd></div>\n" for name, text in rows)
    yield "</dl></section>\n"
