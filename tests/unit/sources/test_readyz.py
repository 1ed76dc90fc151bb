import json

import pytest

from pytest_cutover.errors import SourceError
from pytest_cutover.sources.http import HttpSource
from pytest_cutover.sources.readyz import MAX_CHECKS, ReadyzSource, assess, word, worst
from tests.unit.sources.servers import Server, response

JSON = "application/json"

SPRING_BOOT_2 = {
    "status": "UP",
    "components": {
        "db": {"status": "UP", "details": {"database": "PostgreSQL", "validationQuery": "isValid()"}},
        "diskSpace": {
            "status": "UP",
            "details": {
                "total": 10,
                "free": 9,
                "threshold": 1,
                "path": "/.",
                "exists": True,
                "readOnly": False,
            },
        },
        "replicas": {"status": "UP", "components": {"eu": {"status": "UP"}, "us": {"status": "UP"}}},
    },
    "groups": ["liveness", "readiness"],
}

HEALTH_JSON = {
    "status": "pass",
    "version": "1",
    "links": {"about": "http://api.example.com/about/authz"},
    "checks": {
        "cassandra:responseTime": [
            {"componentId": "dfd6cf2b", "componentType": "datastore", "observedValue": 250, "status": "pass"}
        ],
        "cpu:utilization": [
            {"componentId": "6fd416e0", "node": 1, "observedValue": 85, "status": "warn"},
            {"componentId": "6fd416e0", "node": 2, "observedValue": 85, "status": "pass"},
        ],
        "uptime": [{"componentType": "system", "observedValue": 1209600.245, "observedUnit": "s"}],
    },
}


def body(document):
    return document if isinstance(document, bytes) else json.dumps(document).encode()


def status(document, http=200, content_type=JSON):
    return assess(http, content_type, body(document)).status


class TestWords:
    @pytest.mark.parametrize(
        "text", ["ready", "ok", "up", "pass", "healthy", "true", "OK", "Ready", " UP ", "Healthy", True]
    )
    def test_that_pass(self, text):
        assert status({"status": text}) == "ready"

    @pytest.mark.parametrize("text", ["warn", "WARN", "degraded", "Degraded"])
    def test_that_warn(self, text):
        assert status({"status": text}) == "degraded"

    @pytest.mark.parametrize(
        "text",
        [
            "fail",
            "down",
            "error",
            "unhealthy",
            "out_of_service",
            "OUT-OF-SERVICE",
            "shutting down",
            "not_ready",
            "Not Ready",
            "false",
            False,
        ],
    )
    def test_that_fail(self, text):
        assert status({"status": text}) == "error"

    @pytest.mark.parametrize(
        "value",
        [
            "",
            "okay",
            "okready",
            "not ok",
            "starting",
            "unknown",
            None,
            1,
            0,
            200,
            [],
            ["ok"],
            {"code": "UP"},
            "ok\0",
        ],
    )
    def test_all_others_are_unknown(self, value):
        assert status({"status": value}) == "unknown"

    def test_of_another_script_are_unknown(self):
        assert word("οκ") == "unknown"


class TestHttpClass:
    @pytest.mark.parametrize(
        ("http", "said", "expected"),
        [
            (200, "ok", "ready"),
            (204, "ok", "ready"),
            (299, "ok", "ready"),
            (200, "degraded", "degraded"),
            (429, "warn", "degraded"),
            (503, "degraded", "degraded"),
            (500, "degraded", "error"),
            (404, "degraded", "error"),
            (200, "down", "error"),
            (503, "down", "error"),
            (404, "fail", "error"),
            (503, "ok", "unknown"),
            (500, "ok", "unknown"),
            (404, "ok", "unknown"),
            (401, "ok", "unknown"),
            (301, "ok", "unknown"),
            (302, "down", "unknown"),
            (304, "ok", "unknown"),
            (199, "ok", "unknown"),
            (600, "ok", "unknown"),
            (0, "ok", "unknown"),
            (503, "whatever", "unknown"),
        ],
    )
    def test_must_go_with_the_status(self, http, said, expected):
        assert status({"status": said}, http) == expected

    def test_disagreement_is_said(self):
        assert assess(503, JSON, b'{"status":"ok"}').detail == "HTTP 503 does not go with status ready"

    def test_only_a_2xx_is_ever_ready(self):
        ready = {http for http in range(100, 700) if status({"status": "ok"}, http) == "ready"}

        assert ready == set(range(200, 300))


class TestMalformed:
    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"   \n",
            b"<html><body>ok</body></html>",
            b"<!doctype html>",
            b'{"status": "ok"',
            b'{"status": "ok"} trailing',
            b'{"status": "down", "status": "ok"}',
            b'{"status": "ok", "n": NaN}',
            b"\xff\xfe{}",
            b'\xef\xbb\xbf{"status": "ok"}',
            b"null",
            b"[]",
            b'["ok"]',
            b"1",
            b"{}",
            b'{"STATUS": "ok"}',
            b'{"state": "ok"}',
            b'{"status": "ok", "checks": {"a": ' + b'{"checks": {"a": ' * 40 + b"true" + b"}}" * 40 + b"}}",
            b'{"a":' * 100_000,
        ],
    )
    @pytest.mark.parametrize("content_type", [JSON, "text/plain", None])
    def test_is_unknown(self, content, content_type):
        found = assess(200, content_type, content)

        assert found.status == "unknown"
        assert found.detail

    def test_html_is_unknown_whatever_it_says(self):
        assert status(b"ok", content_type="text/html; charset=utf-8") == "unknown"

    def test_json_that_is_called_json_must_be_json(self):
        assert status(b"ok", content_type=JSON) == "unknown"

    def test_too_many_checks_are_not_taken_for_ready(self):
        assert (
            status({"status": "ok", "checks": dict.fromkeys(map(str, range(MAX_CHECKS + 1)), "ok")})
            == "unknown"
        )


class TestText:
    @pytest.mark.parametrize(("text", "expected"), [("ok", "ready"), ("OK\n", "ready"), ("true", "ready")])
    def test_of_one_word(self, text, expected):
        assert status(text.encode(), content_type="text/plain") == expected

    @pytest.mark.parametrize(
        ("text", "expected"), [("DOWN", "error"), ("degraded", "degraded"), ("ok now", "unknown")]
    )
    def test_that_is_not_green(self, text, expected):
        found = assess(200, "text/plain", text.encode())

        assert found.status == expected
        assert text in found.detail

    def test_json_is_read_without_its_content_type(self):
        assert status({"status": "ok"}, content_type=None) == "ready"

    def test_a_json_string_or_boolean_is_a_word(self):
        assert status(b'"UP"') == "ready"
        assert status(b"false") == "error"


class TestChecks:
    @pytest.mark.parametrize("container", ["checks", "components", "details"])
    def test_the_worst_child_wins(self, container):
        found = assess(
            200, JSON, body({"status": "ok", container: {"db": {"status": "down"}, "mq": {"status": "up"}}})
        )

        assert found.status == "error"
        assert found.failing == ("db",)

    @pytest.mark.parametrize("container", ["checks", "components", "details"])
    def test_lists_are_read_too(self, container):
        found = assess(
            200,
            JSON,
            body(
                {
                    "status": "ok",
                    container: [{"name": "db", "status": "up"}, {"name": "mq", "status": "down"}],
                }
            ),
        )

        assert (found.status, found.failing) == ("error", ("mq",))

    def test_plain_values_are_read_too(self):
        found = assess(200, JSON, body({"status": "ok", "checks": {"db": "ok", "mq": False, "disk": "warn"}}))

        assert [(c.name, c.status) for c in found.checks] == [
            ("db", "ready"),
            ("mq", "error"),
            ("disk", "degraded"),
        ]

    @pytest.mark.parametrize("child", [None, 1, "strange", {}, {"state": "up"}, {"status": None}, [], [[]]])
    def test_an_unreadable_child_is_not_ready(self, child):
        document = {"status": "ok", "checks": [child]}

        assert status(document) == "unknown"

    def test_an_unknown_child_is_worse_than_a_degraded_one(self):
        assert status({"status": "ok", "checks": {"a": "warn", "b": "huh"}}) == "unknown"
        assert worst("unknown", "error") == "error"

    def test_a_parent_worse_than_its_children_stays_so(self):
        assert status({"status": "down", "checks": {"a": "ok"}}) == "error"

    def test_without_a_status_of_its_own_good_children_do_not_help(self):
        assert status({"checks": {"a": "ok"}}) == "unknown"
        assert status({"checks": {"a": "down"}}) == "error"

    def test_no_checks_at_all_is_no_contradiction(self):
        assert status({"status": "ok", "checks": {}}) == "ready"
        assert status({"status": "ok", "checks": []}) == "ready"
        assert status({"status": "ok", "checks": None}) == "ready"

    def test_details_are_handed_on(self):
        found = assess(
            503, JSON, body({"status": "fail", "checks": {"db": {"status": "fail", "output": "refused"}}})
        )

        assert found.checks[0].detail == "refused"

    def test_microprofile(self):
        document = {"status": "DOWN", "checks": [{"name": "db", "status": "DOWN", "data": {"key": "up"}}]}

        assert assess(503, JSON, body(document)).failing == ("db",)


class TestSpringBoot:
    def test_details_of_a_component_are_data(self):
        found = assess(200, "application/vnd.spring-boot.actuator.v3+json", body(SPRING_BOOT_2))

        assert found.status == "ready"
        assert [c.name for c in found.checks] == ["db", "diskSpace", "replicas", "replicas/eu", "replicas/us"]

    def test_a_nested_component_counts(self):
        broken = json.loads(json.dumps(SPRING_BOOT_2))
        broken["components"]["replicas"]["components"]["us"]["status"] = "OUT_OF_SERVICE"

        found = assess(200, JSON, body(broken))
        assert (found.status, found.failing) == ("error", ("replicas/us",))

    def test_version_2_0_has_components_under_details(self):
        document = {"status": "UP", "details": {"db": {"status": "DOWN", "details": {"error": "refused"}}}}

        assert status(document) == "error"

    def test_version_1_has_components_beside_the_status(self):
        document = {"status": "UP", "diskSpace": {"status": "DOWN", "free": 1}, "db": {"status": "UP"}}

        assert assess(200, JSON, body(document)).failing == ("diskSpace",)


class TestHealthJson:
    def test_the_draft_s_example(self):
        found = assess(200, "application/health+json", body(HEALTH_JSON))

        assert found.status == "degraded"
        assert found.failing == ("cpu:utilization/6fd416e0",)

    def test_an_observation_without_a_status_is_not_judged_there(self):
        only = {"status": "pass", "checks": {"uptime": HEALTH_JSON["checks"]["uptime"]}}

        assert status(only, content_type="application/health+json") == "ready"
        assert status(only) == "unknown"


class TestKubernetes:
    READY = b"[+]ping ok\n[+]etcd ok\n[+]poststarthook/start ok\nreadyz check passed\n"
    FAILED = b"[+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed\n"

    @pytest.mark.parametrize("content_type", ["text/plain; charset=utf-8", None, JSON])
    def test_verbose_lines(self, content_type):
        found = assess(200, content_type, self.READY)

        assert found.status == "ready"
        assert [c.name for c in found.checks] == ["ping", "etcd", "poststarthook/start"]

    def test_a_failed_line_fails(self):
        found = assess(500, "text/plain", self.FAILED)

        assert (found.status, found.failing) == ("error", ("etcd",))
        assert found.checks[1].detail == "failed: reason withheld"

    def test_a_failed_line_outweighs_http_200_and_the_verdict(self):
        assert status(b"[-]etcd failed\nreadyz check passed", content_type="text/plain") == "error"

    @pytest.mark.parametrize(
        "text",
        [
            b"[+]ping ok\n[+]etcd ok\n",
            b"[+]ping ok\nsomething else\nreadyz check passed",
            b"[+]ping ok\nreadyz check pass",
            b"[+] ok\nreadyz check passed",
        ],
    )
    def test_a_list_that_is_not_whole_is_unknown(self, text):
        assert status(text, content_type="text/plain") == "unknown"


class TestReadyzSource:
    def read(self, answer, path="/readyz", timeout_s=2):
        with Server(answer) as server, HttpSource({"app": server.url}, timeout_s) as http:
            return ReadyzSource(http)(path)

    def test_holds_all_a_gate_measures(self):
        reading = self.read(
            lambda _: response(503, '{"status":"degraded","checks":{"disk":"warn","db":"ok"}}')
        )

        assert (reading.status, reading.failing, reading.http_status) == ("degraded", ("disk",), 503)
        assert (reading.attempts, len(reading.checks)) == (1, 2)
        assert 0 < reading.latency_s < 2
        assert reading.observed_at.tzinfo is not None

    def test_a_redirect_to_elsewhere_is_unknown(self):
        with Server(lambda _: response(200, '{"status":"ok"}')) as elsewhere:
            reading = self.read(lambda _: response(302, headers=[f"Location: {elsewhere.url}/readyz"]))

            assert elsewhere.requests == []
        assert (reading.status, reading.http_status) == ("unknown", 302)

    def test_a_redirect_within_the_service_is_followed(self):
        def answer(request):
            there = response(308, headers=["Location: /readyz/"])
            return there if request.startswith("GET /readyz ") else response(200, '{"status":"ok"}')

        assert self.read(answer).status == "ready"

    def test_unreachable_is_no_reading(self):
        with HttpSource({"app": "http://127.0.0.1:9"}) as http, pytest.raises(SourceError):
            ReadyzSource(http)()
