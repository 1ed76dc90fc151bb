"""Async gates that overlap, and everything that works on tests works on them; nothing here takes the time."""

from __future__ import annotations

import http.server
import re
import sys
import threading
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest

from tests.plugin.projects import Project

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.plugin.projects import Ran

HEAD = """
import asyncio, logging, pathlib, sys, time
import pytest

pytestmark = pytest.mark.preflight
BEGUN = pathlib.Path("begun.txt")

def begun(name):
    with BEGUN.open("a") as file:
        file.write(name + "\\n")
"""
LIMITS: dict[str, Any] = {"x": {"at_most": 1}}
EACH_WAITS_FOR_ALL = """
ALL = asyncio.Barrier(5)

@pytest.mark.gate("meets")
@pytest.mark.parametrize("n", range(5))
async def test_meets(gate, n):
    print(f"out {n}")
    print(f"err {n}", file=sys.stderr)
    logging.getLogger("shop").warning("log %d", n)
    await ALL.wait()
    print(f"later {n}")
    await asyncio.to_thread(print, f"thread {n}")
    gate.measure("x", n)
"""


def project_of(empty: Project, text: str, *gates: Any) -> Project:
    """Gates below the usual head, all with the same limit."""
    names = [g["gate"] if isinstance(g, dict) else g for g in gates]
    return empty.policy(list(gates), dict.fromkeys(names, LIMITS)).gates(HEAD + text)


def begun(project: Project) -> list[str]:
    file = project.folder / "begun.txt"
    return file.read_text().split() if file.exists() else []


def notes(ran: Ran) -> dict[str, list[str]]:
    """By test name."""
    return {e["nodeid"].rpartition("::")[2]: e["notes"] for e in ran.events("gate.finished")}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """A run of five gates of which each waits for all others."""
    project = Project(tmp_path_factory.mktemp("meets"))
    project.write("pytest.ini", "[pytest]\n")
    project_of(project, EACH_WAITS_FOR_ALL, {"gate": "meets", "instances": 5})
    return project.pytest("-m", "preflight", "--junitxml=junit.xml")


class TestOverlap:
    """Each gate waits for all others, so a run that ends with verdicts has overlapped."""

    def test_all_are_judged(self, ran: Ran) -> None:
        """Those that measured 2, 3 and 4 are red."""
        signs = re.findall(r"^([✓✗!]) meets\[(\d)\]", ran.out, re.MULTILINE)

        assert signs == [("✓", "0"), ("✓", "1"), ("✗", "2"), ("✗", "3"), ("✗", "4")]
        assert ran.codes() >= {"limit.broken"}
        assert ran.code == 10

    def test_output_is_its_own(self, ran: Ran) -> None:
        """Also what it printed before its turn, and from a thread."""
        for n in (2, 3, 4):
            own = ran.out.split(f"test_meets[{n}] __")[1].split("test_meets[")[0]
            assert re.findall(r"(?:out|later|thread|err|log) \d", own) == [
                f"{what} {n}" for what in ("out", "later", "thread", "err", "log")
            ]

    def test_green_gates_show_nothing(self, ran: Ran) -> None:
        """As pytest does it."""
        assert "out 0" not in ran.text
        assert "log 1" not in ran.text

    def test_junit_has_the_time_of_the_body(self, ran: Ran) -> None:
        """Not that of the wait for it."""
        cases = ElementTree.parse(ran.folder.parents[3] / "junit.xml").getroot().iter("testcase")  # our own

        assert all(float(case.get("time", "0")) > 0 for case in cases)

    def test_nothing_is_noted(self, ran: Ran) -> None:
        """A note says why a gate could not overlap."""
        assert set(map(tuple, notes(ran).values())) == {()}

    def test_supervised(self, empty: Project) -> None:
        """In the child of `cutover run` as well."""
        project_of(empty, EACH_WAITS_FOR_ALL, {"gate": "meets", "instances": 5})

        ran = empty.cutover("run", "preflight")

        assert ran.code == 10
        assert "3 of" not in ran.out
        assert "2 of 5 gates green" in ran.out

    def test_plain_gates_run_meanwhile(self, empty: Project) -> None:
        """An async gate that waits for a plain one behind it ends."""
        text = """
@pytest.mark.gate("waits")
async def test_waits(gate):
    while not BEGUN.exists():
        await asyncio.sleep(0.01)
    gate.measure("x", 1)

@pytest.mark.gate("first")
def test_first(gate):
    begun("first")
    gate.measure("x", 1)
"""
        project_of(empty, text, "waits", "first")
        empty.write(
            "conftest.py", "def pytest_collection_modifyitems(items): items.reverse()\n"
        )  # the plain one first in this run

        ran = empty.pytest("-m", "preflight")

        assert "2 of 2 gates green" in ran.out

    def test_at_most_so_many(self, empty: Project) -> None:
        """--cutover-side-by-side."""
        text = """
NOW = []

@pytest.mark.gate("many")
@pytest.mark.parametrize("n", range(6))
async def test_many(gate, n):
    NOW.append(n)
    await asyncio.sleep(0.02)
    gate.measure("x", len(NOW))
    NOW.remove(n)
"""
        project_of(empty, text, {"gate": "many", "instances": 6})

        assert empty.pytest("-m", "preflight", "--cutover-side-by-side=1").code == 0
        assert empty.pytest("-m", "preflight", "--cutover-side-by-side=2").code == 10


class TestEnding:
    """What a body does is what its gate is."""

    ENDINGS = """
@pytest.mark.gate("asserts")
async def test_asserts(gate):
    gate.measure("x", 1)
    await asyncio.sleep(0)
    found = 3
    assert found == 4, "no four"

@pytest.mark.gate("raises")
async def test_raises(gate):
    gate.measure("x", 1)
    raise OSError("unplugged")

@pytest.mark.gate("skips")
async def test_skips(gate):
    pytest.skip("not today")

@pytest.mark.gate("silent")
async def test_silent(gate):
    await asyncio.sleep(0)

@pytest.mark.gate("slow", timeout=0.2)
async def test_slow(gate):
    gate.measure("x", 1)
    await asyncio.sleep(60)

@pytest.mark.gate("stubborn", timeout=0.2)
async def test_stubborn(gate):
    gate.measure("x", 1)
    try:
        await asyncio.sleep(60)
    except BaseException:
        pass

@pytest.mark.gate("cancels")
async def test_cancels(gate):
    gate.measure("x", 1)
    asyncio.current_task().cancel()
    await asyncio.sleep(0)

@pytest.mark.gate("leaves")
async def test_leaves(gate):
    gate.measure("x", 1)
    sys.exit(0)

@pytest.mark.gate("fine")
async def test_fine(gate):
    gate.measure("x", 1)
"""
    REASONS = {  # noqa: RUF012 # a constant
        "asserts": "gate.failed",
        "raises": "gate.error",
        "skips": "gate.skipped",
        "silent": "limit.unmeasured",
        "slow": "gate.timeout",
        "stubborn": "gate.timeout",
        "cancels": "gate.error",
        "leaves": "gate.error",
    }

    @pytest.mark.parametrize("arguments", [(), ("-n", "2"), ("--cutover-side-by-side=0",)])
    def test_each_has_its_reason(self, empty: Project, arguments: tuple[str, ...]) -> None:
        """Side by side, in workers, and at its own turn."""
        project_of(empty, self.ENDINGS, *self.REASONS, "fine")

        ran = empty.pytest("-m", "preflight", *arguments)

        assert ran.code == 10
        assert "1 of 9 gates green" in ran.out
        for gate, code in self.REASONS.items():
            assert re.search(rf"{gate}: .*\[{re.escape(code)}\]", ran.out), (gate, code)

    def test_traceback_shows_the_gate_alone(self, empty: Project) -> None:
        """The author's line and values, none of the engine's."""
        project_of(empty, self.ENDINGS, *self.REASONS, "fine")

        out = empty.pytest("-m", "preflight", "-k", "asserts").out

        assert '>       assert found == 4, "no four"' in out
        assert "assert 3 == 4" in out
        assert "side_by_side.py" not in out

    def test_interrupt_ends_the_run(self, empty: Project) -> None:
        """At the gate's turn, as of a plain gate."""
        text = """
@pytest.mark.gate("interrupts")
async def test_interrupts(gate):
    raise KeyboardInterrupt

@pytest.mark.gate("after")
async def test_after(gate):
    gate.measure("x", 1)
"""
        ran = project_of(empty, text, "interrupts", "after").pytest("-m", "preflight")

        assert ran.code == 11
        assert ran.codes() >= {"run.interrupted", "gate.cancelled"}
        assert "Traceback" not in ran.err

    def test_a_gate_that_blocks_is_named_as_the_cause(self, empty: Project) -> None:
        """Its own time and that of the others is up, and a note says why."""
        text = """
@pytest.mark.gate("blocks", timeout=0.3)
async def test_blocks(gate):
    time.sleep(3)
    gate.measure("x", 1)

@pytest.mark.gate("other", timeout=0.3)
async def test_other(gate):
    await asyncio.sleep(0)
    gate.measure("x", 1)
"""
        ran = project_of(empty, text, "blocks", "other").pytest("-m", "preflight")

        assert ran.code == 11
        assert ran.codes() >= {"gate.timeout"}
        assert "the event loop stands still: an async gate blocks instead of awaiting" in ran.out


class TestSelecting:
    """What is not to run does not begin."""

    NUMBERED = """
@pytest.mark.gate("n")
@pytest.mark.parametrize("n", range(4))
async def test_n(gate, n):
    begun(str(n))
    await asyncio.sleep(0)
    gate.measure("x", n)
    if n == 3:
        await asyncio.sleep(30)
"""

    def test_exit_first_cancels_the_rest(self, empty: Project) -> None:
        """Those that had begun and had no turn are named."""
        ran = project_of(empty, self.NUMBERED, {"gate": "n", "instances": 4}).pytest("-m", "preflight", "-x")

        cancelled = [e for e in ran.events("run.problem") if e["code"] == "gate.cancelled"]
        assert ran.code == 10
        assert [e["where"].rpartition("::")[2] for e in cancelled] == ["test_n[3]"]
        assert ran.codes() >= {"limit.broken", "gate.cancelled"}

    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            (("-k", "1 or 2"), ["1", "2"]),
            (("--deselect", "gates/test_gates.py::test_n[3]"), ["0", "1", "2"]),
            (("--collect-only",), []),
            (("--setup-only",), []),
            (("--setup-plan",), []),
        ],
        ids=lambda a: a[0] if isinstance(a, tuple) else "",
    )
    def test_selection(self, empty: Project, arguments: tuple[str, ...], expected: list[str]) -> None:
        """As for every test."""
        project_of(empty, self.NUMBERED, {"gate": "n", "instances": 4}).pytest("-m", "preflight", *arguments)

        assert sorted(begun(empty)) == expected

    def test_collection_error(self, empty: Project) -> None:
        """Nothing runs then."""
        project_of(empty, self.NUMBERED, {"gate": "n", "instances": 4})
        empty.write("gates/test_broken.py", "import nothing_of_that_name\n")

        ran = empty.pytest("-m", "preflight")

        assert ran.code == 11
        assert begun(empty) == []


class TestAlone:
    """What asks for more than the engine has runs at its own turn; the report says why."""

    GATES = """
@pytest.fixture
def db():
    begun("fixture")
    yield 1
    begun("end")

@pytest.fixture
def given(request):
    return request.param

@pytest.mark.gate("db")
async def test_db(gate, db):
    begun("body")
    gate.measure("x", db)

class TestClass:
    @pytest.mark.gate("method")
    async def test_method(self, gate):
        gate.measure("x", 1)

@pytest.mark.gate("asks")
async def test_asks(gate, request):
    gate.measure("x", 1)

@pytest.mark.gate("indirect")
@pytest.mark.parametrize("given", [1], indirect=True)
async def test_indirect(gate, given):
    gate.measure("x", given)

@pytest.mark.gate("captures")
async def test_captures(gate, capsys):
    print("hello")
    gate.measure("x", len(capsys.readouterr().out) - 5)

@pytest.mark.gate("direct")
@pytest.mark.parametrize("n", [1])
async def test_direct(gate, n, targets):
    gate.measure("x", n)
"""
    IDS = (
        "db",
        "method",
        "asks",
        {"gate": "indirect", "instances": 1},
        "captures",
        {"gate": "direct", "instances": 1},
    )

    def test_all_are_green_and_told(self, empty: Project) -> None:
        """Each for its own reason; the last one overlaps."""
        ran = project_of(empty, self.GATES, *self.IDS).pytest("-m", "preflight")

        assert "6 of 6 gates green" in ran.out
        assert notes(ran) == {
            "test_db": ["ran by itself: it asks for the fixture 'db'"],
            "test_method": ["ran by itself: it is a method of a class"],
            "test_asks": ["ran by itself: it asks for request"],
            "test_indirect[1]": ["ran by itself: it asks for the fixture 'given'"],
            "test_captures": ["ran by itself: it asks for the fixture 'capsys'"],
            "test_direct[1]": [],
        }
        assert begun(empty) == ["fixture", "body", "end"]

    def test_autouse(self, empty: Project) -> None:
        """A fixture that every gate has keeps them all from beginning early."""
        empty.write("conftest.py", "import pytest\n@pytest.fixture(autouse=True)\ndef prepared(): pass\n")

        ran = project_of(empty, self.GATES, *self.IDS).pytest("-m", "preflight")

        assert "6 of 6 gates green" in ran.out
        assert notes(ran)["test_direct[1]"] == ["ran by itself: it asks for the fixture 'prepared'"]

    def test_workers(self, empty: Project) -> None:
        """A worker is told too late what it will run."""
        ran = project_of(empty, self.GATES, *self.IDS).pytest("-m", "preflight", "-n", "2")

        assert "6 of 6 gates green" in ran.out
        assert set(map(tuple, notes(ran).values())) == {
            ("ran by itself: a worker of pytest-xdist learns too late what it will run",)
        }

    def test_source_of_a_conftest_is_the_one_it_gets(self, empty: Project) -> None:
        """A fixture that takes the place of one of ours is somebody else's."""
        empty.write("conftest.py", "import pytest\n@pytest.fixture\ndef http(): return 7\n")
        text = """
@pytest.mark.gate("reads")
async def test_reads(gate, http):
    gate.measure("x", http)
"""
        ran = project_of(empty, text, "reads").pytest("-m", "preflight")

        assert "x = 7, limit at most 1" in ran.out
        assert notes(ran) == {"test_reads": ["ran by itself: it asks for the fixture 'http'"]}

    @pytest.mark.parametrize("mark", ["skip(reason='no')", "skipif(True, reason='no')", "xfail(run=False)"])
    def test_marked_ones_do_not_begin(self, empty: Project, mark: str) -> None:
        """What pytest will not run must not have run."""
        text = f"""
@pytest.mark.{mark}
@pytest.mark.gate("marked")
async def test_marked(gate):
    begun("marked")
    gate.measure("x", 1)
"""
        ran = project_of(empty, text, "marked").pytest("-m", "preflight")

        assert ran.code == 11
        assert begun(empty) == []

    def test_rerun_runs_again_and_is_told(self, empty: Project) -> None:
        """By itself, and never green."""
        text = """
@pytest.mark.gate("flaky")
async def test_flaky(gate):
    begun("again")
    gate.measure("x", 1)
    assert BEGUN.read_text().count("again") > 1
"""
        ran = project_of(empty, text, "flaky").pytest(
            "-m", "preflight", "-p", "rerunfailures", "--reruns", "2"
        )

        assert ran.code == 11
        assert ran.codes() >= {"gate.rerun"}
        assert begun(empty) == ["again", "again"]

    def test_other_async_plugins_keep_theirs(self, empty: Project) -> None:
        """Here anyio."""
        text = """
@pytest.fixture
def anyio_backend():
    return "asyncio"

@pytest.mark.anyio
@pytest.mark.gate("theirs")
async def test_theirs(gate):
    await asyncio.sleep(0)
    gate.measure("x", 1)
"""
        ran = project_of(empty, text, "theirs").pytest("-m", "preflight", "-p", "anyio")

        assert "1 of 1 gates green" in ran.out
        assert notes(ran) == {"test_theirs": []}


class TestReadings:
    """Read once, before the first gate, and the same for all."""

    READS = """
from pytest_cutover import reading

BOTH = asyncio.Barrier(2)

@reading
async def orders(targets):
    begun("orders")
    await BOTH.wait()
    return object()

@reading
async def stock():
    begun("stock")
    await BOTH.wait()
    return object()

@reading
def sums(orders, stock):
    begun("sums")
    return (orders, stock)

@pytest.mark.gate("a")
def test_a(gate, orders, sums):
    gate.measure("x", int(orders is not sums[0]))

@pytest.mark.gate("b")
async def test_b(gate, sums, orders, stock):
    gate.measure("x", int(sums[0] is not orders or sums[1] is not stock))
"""

    def test_once_and_side_by_side(self, empty: Project) -> None:
        """Two that wait for each other, and one made of both."""
        ran = project_of(empty, self.READS, "a", "b").pytest("-m", "preflight")

        assert "2 of 2 gates green" in ran.out
        assert sorted(begun(empty)) == ["orders", "stock", "sums"]

    def test_what_it_raises_each_of_its_gates_gets(self, empty: Project) -> None:
        """And no gate is green that rests on it."""
        text = """
from pytest_cutover import reading

@reading
def broken():
    begun("broken")
    raise OSError("unplugged")

@pytest.mark.gate("a")
def test_a(gate, broken):
    gate.measure("x", 1)

@pytest.mark.gate("b")
async def test_b(gate, broken):
    gate.measure("x", 1)
"""
        ran = project_of(empty, text, "a", "b").pytest("-m", "preflight")

        assert ran.code == 11
        assert ran.out.count("unplugged  [gate.setup-failed]") == 2
        assert begun(empty) == ["broken"]

    def test_measurements_are_as_old_as_it(self, empty: Project) -> None:
        """A reading taken too long ago is stale, whenever its gate measures."""
        text = """
from pytest_cutover import reading

@reading
def early():
    return 1

@pytest.mark.gate("a")
def test_a(gate):
    time.sleep(1.2)
    gate.measure("x", 1)

@pytest.mark.gate("b")
def test_b(gate, early):
    gate.measure("x", early)
"""
        limits = {"a": LIMITS, "b": {"x": {"at_most": 1, "max_age_s": 1}}}
        empty.policy(["a", "b"], limits).gates(HEAD + text)

        ran = empty.pytest("-m", "preflight")

        assert ran.code == 11
        assert ran.codes() >= {"measurement.stale"}
        assert "✓ a " in ran.out

    def test_one_that_asks_for_more_is_read_at_its_turn(self, empty: Project) -> None:
        """Still once."""
        text = """
from pytest_cutover import reading

@pytest.fixture(scope="session")
def base():
    return 1

@reading
async def late(base):
    begun("late")
    return base

@pytest.mark.gate("a")
def test_a(gate, late):
    gate.measure("x", late)

@pytest.mark.gate("b")
async def test_b(gate, late):
    gate.measure("x", late)
"""
        ran = project_of(empty, text, "a", "b").pytest("-m", "preflight")

        assert "2 of 2 gates green" in ran.out
        assert begun(empty) == ["late"]
        assert notes(ran)["test_b"] == ["ran by itself: it asks for the fixture 'late'"]

    def test_workers_read_each_for_themselves(self, empty: Project) -> None:
        """Under xdist a process is what shares."""
        ran = project_of(empty, self.READS.replace("Barrier(2)", "Barrier(1)"), "a", "b").pytest(
            "-m", "preflight", "-n", "2"
        )

        assert "2 of 2 gates green" in ran.out

    def test_two_runs_in_one_process_read_twice(self, empty: Project) -> None:
        """Nothing of an older run is seen by a newer one."""
        text = """
from shop import orders

@pytest.mark.gate("a")
def test_a(gate, orders):
    gate.measure("x", orders)
"""
        project_of(empty, text, "a")
        empty.write(
            "shop.py",
            "from pytest_cutover import reading\n\n@reading\ndef orders():\n    print('read')\n    return 1\n",
        )
        empty.write(
            "twice.py",
            "import pytest\nfor _ in 'ab':\n    pytest.main(['-m', 'preflight', '-s', '-p', 'no:cacheprovider'])\n",
        )

        ran = empty.run([sys.executable, "twice.py"])

        assert ran.out.count("read\n") == 2


class Meeting(http.server.BaseHTTPRequestHandler):
    """Answers when three have asked."""

    ALL = threading.Barrier(3)

    def do_GET(self) -> None:
        self.ALL.wait(20)
        self.send_response(200)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"v=1")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def meeting() -> Iterator[str]:
    """The URL of a server that answers none until it was asked by three."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Meeting) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_requests_in_threads_and_urls_in_toml(empty: Project, meeting: str) -> None:
    """Two gates in Python and one in TOML."""
    text = """
@pytest.mark.gate("py")
@pytest.mark.parametrize("n", range(2))
async def test_py(gate, http, n):
    answer = await asyncio.to_thread(http.get, "/")
    gate.measure("x", answer.status_code / 200)
"""
    sandbox = {"sandbox": True, "targets": {"app": meeting}}
    requires = [{"gate": "py", "instances": 2}, "toml"]
    empty.policy(requires, {"py": LIMITS, "toml": LIMITS}, environments={"sandbox": sandbox})
    empty.gates(HEAD + text)
    empty.write(
        "gates/more.toml",
        'format = 1\nphase = "preflight"\n[[gate]]\nid = "toml"\nurl = "/"\nmeasure.x = { figure = "v=(.*)" }\n',
    )

    ran = empty.pytest("-m", "preflight")

    assert "3 of 3 gates green" in ran.out
