"""The shipped gates measure what is there: run against a sound service, broken ones, and one whose log lies."""

import importlib.util
import json
from pathlib import Path

import pytest

from pytest_cutover.errors import SourceError
from pytest_cutover.service.config import CHECK_NAMES
from pytest_cutover.service.process import start_service
from pytest_cutover.sources.http import HttpSource
from pytest_cutover.sources.readyz import ReadyzSource
from tests.unit.service.test_service import project  # noqa: F401 - a fixture
from tests.unit.sources.servers import Server, response

GATES = Path(__file__).parents[3] / "gates" / "test_preflight.py"


@pytest.fixture(scope="module")
def gates():
    spec = importlib.util.spec_from_file_location("shipped_preflight", GATES)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Recorded:
    """A `gate` that keeps what is measured: name to (value, unit, samples)."""

    def __init__(self):
        self.values = {}
        self.notes = []
        self.sections = {}

    def measure(self, name, value, *, unit="1", samples=None, source=None, observed_at=None):
        if name in self.values:
            raise AssertionError(f"{name} is measured twice")
        self.values[name] = (value, unit, samples)

    def note(self, text):
        self.notes.append(text)

    def section(self, name, document):
        if name in self.sections:
            raise AssertionError(f"section {name} is provided twice")
        self.sections[name] = document


@pytest.fixture
def gate():
    return Recorded()


@pytest.fixture
def sound(project):  # noqa: F811
    with (
        start_service(project / "s", policy=project / "policy.json", rootdir=project) as service,
        HttpSource({"app": service.url}) as http,
    ):
        yield http


@pytest.fixture
def break_(project):  # noqa: F811
    """Services with broken checks, closed at the end."""
    opened = []

    def build(*names):
        service = start_service(project / "b", policy=project / "policy.json", rootdir=project, broken=names)
        opened.append(service)
        opened.append(HttpSource({"app": service.url}))
        return opened[-1]

    yield build
    for one in reversed(opened):
        one.close() if isinstance(one, HttpSource) else one.stop()


class TestServiceReady:
    def test_measures_a_sound_service(self, gates, gate, sound):
        gates.test_service_ready(gate, ReadyzSource(sound))

        assert gate.values["status"][0] == "ready"
        assert gate.values["failing_checks"] == (0, "1", None)
        assert 0 < gate.values["latency"][0] < 5
        assert gate.values["latency"][1] == "s"

    def test_measures_a_broken_one(self, gates, gate, break_):
        gates.test_service_ready(gate, ReadyzSource(break_("clock", "disk")))

        assert gate.values["status"][0] == "error"
        assert gate.values["failing_checks"][0] == 2

    def test_measures_nothing_of_an_absent_one(self, gates, gate):
        with HttpSource({"app": "http://127.0.0.1:9"}) as http, pytest.raises(SourceError):
            gates.test_service_ready(gate, ReadyzSource(http))
        assert gate.values == {}


class TestServiceChecks:
    def test_measures_each_check(self, gates, gate, break_):
        gates.test_service_checks(gate, ReadyzSource(break_("disk", "signing_key")))

        words = {name: value for name, (value, _, _) in gate.values.items()}
        assert words == {**dict.fromkeys(CHECK_NAMES, "pass"), "disk": "warn", "signing_key": "fail"}

    def test_a_check_that_is_gone_stays_unmeasured(self, gates, gate):
        answer = response(200, '{"status":"ok","checks":{"disk":"huh"}}')
        with Server(lambda _: answer) as server, HttpSource({"app": server.url}) as http:
            gates.test_service_checks(gate, ReadyzSource(http))

        assert gate.values == {"disk": ("unknown", "1", None)}


class TestServiceTraffic:
    def test_measures_200_real_requests(self, gates, gate, sound):
        gates.test_service_traffic(gate, sound)

        assert gate.values["success_ratio"] == (1, "1", 200)
        assert 0 < gate.values["p95"][0] < 1
        assert gate.values["p95"][1:] == ("s", 200)
        assert sum(s.value for s in sound.get("/metrics").metrics("cutover_requests_total")) == 200

    def test_a_wrong_content_is_no_success(self, gates, gate):
        """HTTP 200 with somebody else's order is a failure."""

        def answer(request):
            created = request.startswith("POST")
            sent = json.loads(request.rpartition("\r\n")[2]) if created else {"item": "other", "quantity": 1}
            return response(201 if created else 200, json.dumps({"id": 1, **sent}))

        with Server(answer) as server, HttpSource({"app": server.url}) as http:
            gates.test_service_traffic(gate, http)

        assert gate.values["success_ratio"] == (pytest.approx(0.5), "1", 200)

    @pytest.mark.parametrize("body", ["[]", "null", "{}", "<html>", '{"id": [1]}'])
    def test_a_malformed_answer_is_no_success(self, gates, gate, body):
        with Server(lambda _: response(201, body)) as server, HttpSource({"app": server.url}) as http:
            gates.test_service_traffic(gate, http)

        assert gate.values["success_ratio"] == (0, "1", 200)

    def test_nobody_there_is_no_measurement(self, gates, gate):
        """A service that answers no more is unproven, not a measured failure."""
        with HttpSource({"app": "http://127.0.0.1:9"}) as http, pytest.raises(SourceError, match="refused"):
            gates.test_service_traffic(gate, http)

        assert gate.values == {}

    def test_a_hanging_service_ends_the_sending(self, gates, gate, monkeypatch):
        monkeypatch.setattr(gates, "TRAFFIC_LIMIT_S", 0.3)
        monkeypatch.setattr(gates, "REQUEST_TIMEOUT_S", 0.1)
        with (
            socket_that_hangs() as server,
            HttpSource({"app": server.url}) as http,
            pytest.raises(SourceError, match="no complete answer"),
        ):
            gates.test_service_traffic(gate, http)

        assert gate.values == {}

    def test_p95_is_the_nearest_rank(self, gates):
        assert gates.percentile(95, list(range(1, 101))) == 95
        assert gates.percentile(95, [3]) == 3
        assert gates.percentile(95, [2, 1]) == 2


def socket_that_hangs():
    import time

    return Server(lambda *_: time.sleep(1), raw=True)


class TestServiceLog:
    def test_measures_what_was_sent(self, gates, gate, sound):
        gates.test_service_log(gate, sound)

        assert gate.values == {"requests": (100, "1", None), "errors": (0, "1", None)}

    def test_a_log_that_misses_a_request_fails(self, gates, gate):
        def answer(request):
            if request.startswith("GET /metrics"):
                client = next(r for r in server.requests if "client" in r.lower()).lower()
                name = client.partition("x-cutover-client: ")[2].partition("\r\n")[0]
                text = f'cutover_requests_total{{client="{name}"}} 99\ncutover_request_errors_total{{client="{name}"}} 0\n'
                return response(200, text, content_type="text/plain")
            return response(500, "{}")

        with (
            Server(answer) as server,
            HttpSource({"app": server.url}) as http,
            pytest.raises(AssertionError, match="100 requests were sent, the log shows 99"),
        ):
            gates.test_service_log(gate, http)
        assert gate.values["requests"][0] == 99


class TestTreeMarkers:
    def test_counts_over_the_whole_package(self, gates, gate):
        gates.test_tree_markers(gate)

        value, unit, files = gate.values["open_markers"]
        assert (value, unit) == (0, "1")
        assert files > 40

    def test_finds_each_marker(self, gates, gate, tmp_path, monkeypatch):
        words = ["TO" + "DO(x): later", "to" + "do!()", "unimpl" + "emented!()"]
        for number, word in enumerate(words):
            (tmp_path / f"{number}.py").write_text(f"# {word}\n")
        monkeypatch.setattr(gates.pytest_cutover, "__file__", str(tmp_path / "__init__.py"))

        gates.test_tree_markers(gate)

        assert gate.notes == [f"unfinished: {n}.py:1" for n in range(3)]
        assert gate.values["open_markers"][0] == 3
