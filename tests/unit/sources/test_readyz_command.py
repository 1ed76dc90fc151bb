"""`cutover readyz`, as a shell sees it: exit codes and streams."""

import json
import time

import pytest

from pytest_cutover.cli import main
from tests.unit.sources.servers import Server, response

SWITCH = "CUTOVER_READYZ_FAIL_CLOSED"


@pytest.fixture
def ask(capsys, monkeypatch):
    """Runs the command against an answer: (exit code, stdout, stderr)."""
    monkeypatch.delenv(SWITCH, raising=False)

    def run(answer, *arguments):
        if isinstance(answer, str):
            code = exit_code("readyz", "--url", answer, *arguments)
        else:
            with Server(answer) as server:
                code = exit_code("readyz", "--url", f"{server.url}/readyz", *arguments)
        return code, *capsys.readouterr()

    return run


def exit_code(*arguments):
    try:
        return main(arguments)
    except SystemExit as exc:
        return exc.code


def says(text, status=200):
    return lambda _: response(status, json.dumps({"status": text, "checks": {"db": text}}))


class TestExitCode:
    @pytest.mark.parametrize(
        ("status", "text", "code"),
        [
            (200, "ready", 0),
            (200, "OK", 0),
            (200, "degraded", 1),
            (503, "degraded", 1),
            (503, "down", 2),
            (200, "down", 2),
            (503, "ok", 2),
            (200, "huh", 2),
            (404, "ok", 2),
        ],
    )
    def test_of_an_answer(self, ask, status, text, code):
        assert ask(says(text, status))[0] == code

    def test_of_html(self, ask):
        assert ask(lambda _: response(200, "<html>ok</html>", content_type="text/html"))[0] == 2

    def test_unreachable_is_2(self, ask):
        code, out, err = ask("http://127.0.0.1:9/readyz")

        assert (code, out) == (2, "")
        assert err.startswith("error: cannot read http://127.0.0.1:9/readyz: ")
        assert "hint: " in err

    def test_slow_is_2(self, ask):
        def slow(_):
            time.sleep(1)
            return response(200, '{"status":"ok"}')

        started = time.monotonic()
        code, _, err = ask(slow, "--timeout", "0.2")
        assert code == 2
        assert "within 0.2 s" in err
        assert time.monotonic() - started < 0.9

    def test_a_redirect_to_elsewhere_is_2(self, ask):
        with Server(says("ok")) as elsewhere:
            code, out, _ = ask(lambda _: response(302, headers=[f"Location: {elsewhere.url}/readyz"]))

            assert elsewhere.requests == []
        assert code == 2
        assert out.startswith("unknown (HTTP 302")

    @pytest.mark.parametrize(
        "arguments",
        [
            [],
            ["--url", "ftp://x/"],
            ["--url", "shop.example"],
            ["--url", ""],
            ["--url", "http://x/", "--timeout", "0"],
            ["--url", "http://x/", "--timeout", "ten"],
            ["--url", "http://x/", "--timeout", "nan"],
            ["--url", "http://x/", "--ca-file", "/no/such/file"],
            ["--url", "http://x/", "--nope"],
        ],
    )
    def test_usage_is_64(self, arguments, capsys):
        assert exit_code("readyz", *arguments) == 64
        assert capsys.readouterr().err


class TestOutput:
    def test_failing_checks_are_printed(self, ask):
        document = {"status": "error", "checks": {"db": {"status": "fail", "detail": "refused"}, "mq": "ok"}}
        _, out, _ = ask(lambda _: response(503, json.dumps(document)))

        assert "  error: db: refused\n" in out
        assert "mq" not in out

    def test_foreign_text_cannot_forge_a_line(self, ask):
        document = {
            "status": "error",
            "checks": {"a\nready": {"status": "fail", "detail": "\x1b[2Jx\nready"}},
        }
        _, out, _ = ask(lambda _: response(503, json.dumps(document)))

        assert out.count("\n") == 2
        assert "\x1b" not in out

    def test_json_holds_the_reading(self, ask):
        code, out, _ = ask(says("degraded"), "--json")
        document = json.loads(out)

        assert code == 1
        assert (document["status"], document["failing"], document["http_status"]) == ("degraded", ["db"], 200)
        assert document["observed_at"].endswith("Z")

    def test_json_of_no_answer(self, ask):
        code, out, err = ask("http://127.0.0.1:9/?token=s3cr3t", "--json")

        assert code == 2
        assert json.loads(out)["status"] == "unreachable"
        assert "s3cr3t" not in out + err

    def test_secrets_of_the_url_are_not_shown(self, ask):
        with Server(says("ok")) as server:
            _, out, err = ask(server.url.replace("//", "//user:s3cr3t@") + "/readyz?token=s3cr3t")

            assert "s3cr3t" in server.requests[0]
        assert "s3cr3t" not in out + err


class TestProxy:
    def test_variables_are_ignored_unless_asked_for(self, ask, monkeypatch):
        with Server(says("down", 503)) as proxy:
            monkeypatch.setenv("http_proxy", proxy.url)
            monkeypatch.delenv("no_proxy", raising=False)
            monkeypatch.delenv("NO_PROXY", raising=False)

            assert ask(says("ok"))[0] == 0
            assert ask(says("ok"), "--use-proxy")[0] == 2


class TestFailClosedSwitch:
    def test_zero_lets_unreachable_pass_loudly(self, ask, monkeypatch):
        monkeypatch.setenv(SWITCH, "0")
        code, _, err = ask("http://127.0.0.1:9/readyz")

        assert code == 0
        assert f"WARNING: the endpoint could not be read, and {SWITCH}=0 lets it pass" in err

    def test_zero_lets_unknown_pass_loudly(self, ask, monkeypatch):
        monkeypatch.setenv(SWITCH, "0")
        code, _, err = ask(says("huh"))

        assert code == 0
        assert "WARNING" in err

    @pytest.mark.parametrize(("text", "code"), [("down", 2), ("degraded", 1), ("ok", 0)])
    def test_zero_softens_no_real_answer(self, ask, monkeypatch, text, code):
        monkeypatch.setenv(SWITCH, "0")

        assert ask(says(text))[0] == code

    def test_one_is_the_default(self, ask, monkeypatch):
        monkeypatch.setenv(SWITCH, "1")

        assert ask("http://127.0.0.1:9/readyz")[0] == 2

    @pytest.mark.parametrize("value", ["", "true", "no", "00", " 0"])
    def test_any_other_value_is_a_usage_error(self, ask, monkeypatch, value):
        monkeypatch.setenv(SWITCH, value)

        assert ask(says("ok"))[0] == 64
