"""The first run that a sandbox puts into its store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_cutover.evidence.seal import BUNDLE_FILE
from pytest_cutover.objects.folder import FolderObjects
from pytest_cutover.objects.protocol import StoreUnavailableError
from pytest_cutover.run.readied import ready_store
from tests.unit.evidence.runs import anchor, signer, trusted
from tests.unit.run.test_conclude import run_in

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_it_is_said_when_the_store_does_not_take_it_and_it_can_be_put_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log may hold it already: a folder that is thrown away would be missed in the store for good."""

    def away(*_: object) -> None:
        raise StoreUnavailableError("no answer")

    key = signer()
    context = run_in(
        tmp_path, store=FolderObjects(tmp_path / "evidence"), signer=key, anchor=anchor(trusted(key))
    )
    monkeypatch.setattr("pytest_cutover.store.keeping.put_object", away)
    said: list[str] = []
    ready_store(context, said.append)

    assert len(said) == 1
    assert "cannot be drilled" in said[0]
    assert "no answer" in said[0]
    assert len([*context.run_dir.parent.glob(f"*/{BUNDLE_FILE}")]) == 1
