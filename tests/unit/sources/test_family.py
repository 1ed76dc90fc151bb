"""Who belongs to a command: also what is just becoming another program, and the child of one that ended behind a look."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_cutover.sources import _family
from pytest_cutover.sources._family import VARIABLE, Family

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Machine:
    """A folder in place of /proc, and what happens between one listing of it and the next."""

    def __init__(self, folder: Path, family: Family) -> None:
        self.folder, self.mark = folder, f"{VARIABLE}={family.environ[VARIABLE]}"
        self.next: list[Callable[[], None]] = []

    def process(self, pid: int, *environ: str, state: str = "R", started: int = 2**60) -> None:
        folder = self.folder / str(pid)
        folder.mkdir(exist_ok=True)
        (folder / "comm").write_text("worker\n")
        (folder / "environ").write_text("".join(f"{variable}\0" for variable in environ))
        (folder / "stat").write_text(f"{pid} (a ) b) {state} {' '.join(['0'] * 18)} {started} 0\n")

    def end(self, pid: int) -> None:
        (self.folder / str(pid) / "environ").unlink()

    def listed(self) -> list[str]:
        found = [entry.name for entry in self.folder.iterdir()]
        if self.next:
            self.next.pop(0)()
        return found


@pytest.fixture
def family() -> Family:
    return Family()


@pytest.fixture
def machine(tmp_path: Path, family: Family, monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine(tmp_path, family)
    monkeypatch.setattr(_family, "_PROC", tmp_path)
    monkeypatch.setattr(_family, "_entries", machine.listed)
    return machine


class TestMembers:
    def test_are_those_with_the_value(self, family: Family, machine: Machine) -> None:
        machine.process(7, "PATH=/bin", machine.mark)
        machine.process(8, "PATH=/bin", f"{VARIABLE}=another")
        machine.process(9, machine.mark)

        assert family.members(9) == ["worker (7)"]

    def test_one_that_is_becoming_another_program_is_waited_for(
        self, family: Family, machine: Machine
    ) -> None:
        """The kernel shows no environment between the old program and the new one."""
        machine.process(7)
        machine.next = [lambda: None, lambda: None, lambda: machine.process(7, machine.mark)]

        assert family.members(1) == ["worker (7)"]

    def test_the_child_of_one_that_ended_behind_the_look_is_found(
        self, family: Family, machine: Machine
    ) -> None:
        machine.process(7, machine.mark)

        def leave_a_child() -> None:
            machine.end(7)
            machine.process(8, machine.mark)

        machine.next = [leave_a_child]

        assert family.members(1) == ["worker (8)"]

    def test_one_whose_first_thread_has_ended_while_another_goes_on_is_found(
        self, family: Family, machine: Machine
    ) -> None:
        """The kernel shows it as a zombie, and no environment."""
        machine.process(7, state="Z")
        machine.end(7)
        for thread in ("7", "12"):
            (machine.folder / "7/task" / thread).mkdir(parents=True)
        (machine.folder / "7/task/12/environ").write_text(f"{machine.mark}\0")

        assert family.members(1) == ["worker (7)"]

    @pytest.mark.parametrize(
        ("state", "started"), [("Z", 2**60), ("X", 2**60), ("R", 0)], ids=["ended", "gone", "older"]
    )
    def test_one_without_an_environment_that_cannot_be_a_member_is_not_waited_for(
        self, family: Family, machine: Machine, monkeypatch: pytest.MonkeyPatch, state: str, started: int
    ) -> None:
        monkeypatch.setattr(_family.time, "sleep", lambda _: pytest.fail("it waited"))
        machine.process(7, state=state, started=started)

        assert family.members(1) == []

    def test_on_a_machine_where_some_always_come_there_is_an_end(
        self, family: Family, machine: Machine
    ) -> None:
        machine.next = [lambda pid=pid: machine.process(pid, "A=b") for pid in range(100, 1000)]  # type: ignore[misc]
        machine.process(7, "A=b")

        assert family.members(1) == []
        assert len(machine.next) == 900 - _family.LOOKS
