"""How to verify the evidence, with this tool and without."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_cutover.report.safe import html as esc

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_cutover.report.view import View


def render(view: View) -> Iterator[str]:
    """Commands to type; or why there is nothing to verify."""
    evidence = view.evidence
    yield '<section aria-labelledby="check"><h2 id="check">How to verify</h2>\n'
    if not evidence.sealed:
        yield "<p>Nothing was sealed: there is nothing to verify, and no deploy step admits this run.</p></section>\n"
        return
    if evidence.keyid is None:
        yield "<p>The evidence is not signed: nobody can tell whether it was changed, and no deploy step admits it.</p></section>\n"
        return
    link = f' <a href="{esc(evidence.url)}" rel="noreferrer">Where it is kept</a>.' if evidence.url else ""
    yield f"<p>Do not trust this page: ask the evidence.{link}</p>\n"
    lines = [f"cutover verify {evidence.folder}"]
    for subject in view.record.subjects[:1]:
        sha = subject.digest.get("sha256")
        if sha:
            lines.append(f"cutover admit --digest sha256:{sha} --environment {view.policy.environment}")
    yield f"<pre>{esc(chr(10).join(lines))}</pre>\n"
    yield (
        "<p>The keys to trust come from outside of the repository that is released (<code>--trust</code>, "
        "<code>CUTOVER_TRUST</code>). Without this tool: each line of <code>bundle.intoto.jsonl</code> is a DSSE envelope, which "
        "<code>openssl</code> checks against the public key"
    )
    if evidence.report_sha256 is not None:
        yield f"; and <code>sha256sum report.json</code> prints</p>\n<pre>{esc(evidence.report_sha256)}</pre>\n"
    else:
        yield ".</p>\n"
    yield "</section>\n"
