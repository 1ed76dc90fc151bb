import math
import socket
import ssl
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from pytest_cutover.errors import ConfigError, MeasurementError, SourceError
from pytest_cutover.sources.http import HttpSource, _up_to_microseconds
from tests.unit.sources.servers import Server, response

SECRET = "s3cr3t-t0ken"


@pytest.fixture
def source():
    """Builds sources and closes them."""
    opened = []

    def build(url, timeout_s=5, **options):
        opened.append(HttpSource({"app": url}, timeout_s, **options))
        return opened[-1]

    yield build
    for one in opened:
        one.close()


class TestReading:
    def test_holds_all_of_the_answer(self, source):
        with Server(lambda _: response(201, '{"n": 0.1}', headers=["X-Tag: a", "x-tag: b"])) as server:
            before = datetime.now(UTC)
            reading = source(server.url).get("/x")

        assert (reading.status_code, reading.body, reading.attempts) == (201, b'{"n": 0.1}', 1)
        assert reading.headers["X-TAG"] == "a, b"
        assert reading.json() == {"n": Decimal("0.1")}
        assert before <= reading.observed_at <= datetime.now(UTC)
        assert reading.observed_at.utcoffset() == timedelta(0)
        assert 0 < reading.latency_s < 5
        assert reading.latency_s == round(reading.latency_s, 6)

    def test_latency_is_that_of_the_whole_answer(self, source):
        def slow(_, connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na")
            time.sleep(0.2)
            connection.sendall(b"b")

        with Server(slow, raw=True) as server:
            assert source(server.url).get("/").latency_s >= 0.2

    def test_two_readings_share_a_connection(self, source):
        with Server(lambda _: response(200, "{}")) as server:
            one = source(server.url)
            one.get("/a")
            one.get("/b")

            assert server.connections == 1

    def test_any_status_is_an_answer(self, source):
        with Server(lambda _: response(500, "no")) as server:
            assert source(server.url).get("/").status_code == 500

    def test_sends_method_headers_and_json(self, source):
        with Server(lambda _: response(200, "{}")) as server:
            source(server.url).get("/orders?x=1", method="POST", json={"a": 1}, headers={"X-A": "b"})

            request = server.requests[0]
        assert request.startswith("POST /orders?x=1 HTTP/1.1\r\n")
        assert "X-A: b" in request
        assert request.endswith('{"a": 1}')

    def test_keeps_no_cookies(self, source):
        """One gate's session must not reach into the next one's reading."""
        with Server(lambda _: response(200, "{}", headers=["Set-Cookie: a=b"])) as server:
            one = source(server.url)
            one.get("/")
            one.get("/")

            assert "cookie" not in server.requests[1].lower()

    def test_threads_may_share_a_source(self, source):
        with Server(lambda r: response(200, r.split()[1])) as server:
            one, got = source(server.url), {}
            threads = [
                threading.Thread(target=lambda n=n: got.update({n: one.get(f"/{n}").text()}))
                for n in range(20)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        assert got == {n: f"/{n}" for n in range(20)}


class TestBody:
    @pytest.mark.parametrize(
        "body", ["", "<html>", '{"a": 1', '{"a": 1, "a": 2}', "NaN", '{"a": Infinity}', "{} x", b"\xff{}"]
    )
    def test_json_is_read_strictly(self, source, body):
        with Server(lambda _: response(200, body)) as server:
            reading = source(server.url).get("/")

        with pytest.raises(SourceError, match="expected JSON from http://"):
            reading.json()

    def test_text_in_its_charset(self, source):
        with Server(lambda _: response(200, b"\xe4", content_type="text/plain; charset=latin-1")) as server:
            assert source(server.url).get("/").text() == "ä"

    @pytest.mark.parametrize("charset", ["utf-8", "no-such-charset", "rot13"])
    def test_text_that_is_none_is_an_error(self, source, charset):
        with Server(
            lambda _: response(200, b"\xff", content_type=f"text/plain; charset={charset}")
        ) as server:
            reading = source(server.url).get("/")

        with pytest.raises(SourceError, match="expected text in"):
            reading.text()


class TestMetric:
    METRICS = '# TYPE x counter\nx{code="200"} 5\nx{code="500"} 1e-3\nnan_now NaN\n'

    def reading(self, source, body=METRICS, status=200):
        with Server(lambda _: response(status, body, content_type="text/plain")) as server:
            return source(server.url).get("/metrics")

    def test_is_the_one_matching_figure(self, source):
        assert self.reading(source).metric("x", code="500") == Decimal("0.001")

    def test_nan_is_handed_on_for_the_engine_to_refuse(self, source):
        assert math.isnan(self.reading(source).metric("nan_now"))

    def test_several_series_are_no_figure(self, source):
        with pytest.raises(SourceError, match="found 2"):
            self.reading(source).metric("x")

    def test_none_is_no_figure(self, source):
        with pytest.raises(SourceError, match="found none"):
            self.reading(source).metric("y")

    def test_an_error_page_is_no_exposition(self, source):
        with pytest.raises(SourceError, match="got HTTP 500"):
            self.reading(source, status=500).metric("x", code="200")

    def test_html_is_no_exposition(self, source):
        with pytest.raises(SourceError, match="line 1"):
            self.reading(source, body="<html>login</html>").metrics("x")

    def test_lists_all_series_of_a_name(self, source):
        assert [s.labels["code"] for s in self.reading(source).metrics("x")] == ["200", "500"]


class TestTime:
    def test_a_silent_server_is_cut(self, source):
        with Server(lambda _, c: time.sleep(3), raw=True) as server:
            self.fails_within(source(server.url, 0.4), 0.4)

    def test_a_trickling_body_is_cut(self, source):
        """Each byte comes in time; only the whole does not."""

        def trickle(_, connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            while True:
                connection.sendall(b"x")
                time.sleep(0.05)

        with Server(trickle, raw=True) as server:
            self.fails_within(source(server.url, 0.5), 0.5)

    def test_trickling_headers_are_cut(self, source):
        def trickle(_, connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
            while True:
                connection.sendall(b"x")
                time.sleep(0.05)

        with Server(trickle, raw=True) as server:
            self.fails_within(source(server.url, 0.5), 0.5)

    def test_a_late_byte_does_not_renew_the_time(self, source):
        def late(_, connection):
            time.sleep(0.6)
            connection.sendall(b"HTTP/1.1 200 OK\r\n")
            time.sleep(3)

        with Server(late, raw=True) as server:
            started = time.monotonic()
            self.fails_within(source(server.url, 0.8), 0.8)
            assert time.monotonic() - started < 1.2

    def test_a_redirect_does_not_renew_the_time(self, source):
        def slow(_):
            time.sleep(0.3)
            return response(302, headers=["Location: /again"])

        with Server(slow) as server:
            self.fails_within(source(server.url, 0.5), 0.5)

    def test_an_unaccepting_listener_is_cut(self, source):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            self.fails_within(source(f"http://127.0.0.1:{listener.getsockname()[1]}", 0.3), 0.3)

    def test_one_reading_may_have_its_own_limit(self, source):
        with Server(lambda _, c: time.sleep(2), raw=True) as server:
            started = time.monotonic()
            with pytest.raises(SourceError, match=r"within 0\.2 s"):
                source(server.url, 10).get("/", timeout_s=0.2)
            assert time.monotonic() - started < 1

    @pytest.mark.parametrize("limit", [0, -1, float("nan"), float("inf")])
    def test_a_limit_is_a_positive_number(self, source, limit):
        with pytest.raises(MeasurementError, match="above 0"):
            source("http://127.0.0.1", limit)

    def fails_within(self, one, limit):
        started = time.monotonic()
        with pytest.raises(SourceError, match="no complete answer within") as caught:
            one.get("/")
        assert caught.value.hint
        assert limit - 0.05 <= time.monotonic() - started < limit + 0.5


class TestSize:
    def test_a_huge_body_is_cut_before_it_is_read(self, source):
        def endless(_, connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                connection.sendall(b"x" * 65536)

        with (
            Server(endless, raw=True) as server,
            pytest.raises(SourceError, match="larger than 100000 bytes"),
        ):
            source(server.url, max_body_bytes=100_000).get("/")

    def test_a_body_of_exactly_the_limit_is_read(self, source):
        with Server(lambda _: response(200, b"x" * 1000)) as server:
            assert len(source(server.url, max_body_bytes=1000).get("/").body) == 1000

    def test_a_compressed_body_is_refused(self, source):
        """It could be a bomb, and nobody asked for it."""
        with Server(lambda _: response(200, b"\x1f\x8b", headers=["Content-Encoding: gzip"])) as server:
            with pytest.raises(SourceError, match="encoded as 'gzip'"):
                source(server.url).get("/")
            assert "accept-encoding: identity" in server.requests[0].lower()

    def test_a_short_body_is_no_answer(self, source):
        def short(_, connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")

        with Server(short, raw=True) as server, pytest.raises(SourceError, match="cannot read"):
            source(server.url).get("/")

    def test_no_http_is_no_answer(self, source):
        with (
            Server(lambda _, c: c.sendall(b"220 mail.example ESMTP\r\n"), raw=True) as server,
            pytest.raises(SourceError, match="cannot read"),
        ):
            source(server.url).get("/")


class TestRedirect:
    def test_within_the_origin_is_followed(self, source):
        def answer(request):
            there = response(302, headers=["Location: /b?t=1"])
            return there if request.startswith("GET /a ") else response(200, '"b"')

        with Server(answer) as server:
            reading = source(server.url).get("/a")

        assert (reading.status_code, reading.json(), reading.url) == (200, "b", f"{server.url}/b?t=***")

    def test_to_elsewhere_is_never_followed(self, source):
        with Server(lambda _: response(200, '{"status":"ok"}')) as elsewhere:
            with Server(lambda _: response(302, headers=[f"Location: {elsewhere.url}/"])) as server:
                reading = source(server.url).get("/a", headers={"Authorization": SECRET})

            assert reading.status_code == 302
            assert reading.headers["location"] == f"{elsewhere.url}/"
            assert elsewhere.requests == []

    def test_a_post_is_not_repeated_elsewhere(self, source):
        with Server(lambda _: response(307, headers=["Location: /b"])) as server:
            assert source(server.url).get("/a", method="POST", content=b"x").status_code == 307
            assert len(server.requests) == 1

    def test_none_is_followed_when_that_is_asked_for(self, source):
        with Server(lambda _: response(302, headers=["Location: /a"])) as server:
            reading = source(server.url).get("/b", redirects=False)

            assert (reading.status_code, reading.url) == (302, f"{server.url}/b")
            assert len(server.requests) == 1

    def test_a_loop_ends(self, source):
        with Server(lambda _: response(302, headers=["Location: /a"])) as server:
            with pytest.raises(SourceError, match="more than 5 redirects"):
                source(server.url).get("/a", retries=3)
            assert len(server.requests) == 6  # and is not tried again


class TestRetries:
    def flaky(self, failures):
        left = [failures]

        def answer(_, connection):
            if left[0]:
                left[0] -= 1
            else:
                connection.sendall(response(200, "{}"))

        return Server(answer, raw=True)

    def test_happen_inside_one_reading_and_are_counted(self, source):
        with self.flaky(2) as server:
            reading = source(server.url).get("/", retries=2)

        assert reading.attempts == 3
        assert reading.latency_s >= 0.3  # the pauses count too

    def test_none_unless_asked_for(self, source):
        with self.flaky(1) as server:
            with pytest.raises(SourceError):
                source(server.url).get("/")
            assert len(server.requests) == 1

    def test_end_and_are_said(self, source):
        with self.flaky(9) as server, pytest.raises(SourceError, match="after 3 attempts"):
            source(server.url).get("/", retries=2)

    def test_a_bad_answer_is_not_retried(self, source):
        """A red answer stays red."""
        with Server(lambda _: response(503, "{}")) as server:
            assert source(server.url).get("/", retries=3).attempts == 1

    def test_stay_within_the_time(self, source):
        with self.flaky(99) as server:
            started = time.monotonic()
            with pytest.raises(SourceError):
                source(server.url, 0.5).get("/", retries=99)
            assert time.monotonic() - started < 1

    def test_never_repeat_what_may_have_had_its_effect(self, source):
        with pytest.raises(MeasurementError, match="POST cannot be retried"):
            source("http://127.0.0.1:9").get("/", method="post", retries=1)


class TestTargets:
    def test_unreachable_says_where_and_what_to_do(self, source):
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{bound.getsockname()[1]}"
            with pytest.raises(SourceError, match=f"cannot read {url}/x: [A-Za-z ]*refused") as caught:
                source(url).get("/x")
        assert "is the service up" in caught.value.hint

    def test_an_unresolvable_name_is_unreachable(self, source):
        with pytest.raises(SourceError, match="cannot be resolved"):
            source("http://no-such-host.invalid").get("/")

    def test_another_target_by_name(self):
        with (
            Server(lambda _: response(200, '"b"')) as b,
            HttpSource({"app": "http://127.0.0.1:9", "b": b.url}) as one,
        ):
            assert one.get("/", target="b").json() == "b"

    def test_an_unknown_target_lists_those_there_are(self, source):
        with pytest.raises(SourceError, match="no target 'db'") as caught:
            source("http://127.0.0.1:9").get("/x", target="db")
        assert "app" in caught.value.hint

    def test_a_full_url_must_be_a_target(self, source):
        with Server(lambda _: response(200, "{}")) as other:
            with pytest.raises(SourceError, match="is not one of the targets"):
                source("http://127.0.0.1:9").get(f"{other.url}/")
            assert other.requests == []

    def test_a_full_url_of_a_target_is_read(self, source):
        with Server(lambda _: response(200, "{}")) as server:
            assert source(server.url).get(f"{server.url}/x").status_code == 200

    @pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x/"])
    def test_other_schemes_are_refused(self, source, url):
        with pytest.raises(SourceError, match="is not an http or https URL"):
            source("http://127.0.0.1:9").get(url)

    @pytest.mark.parametrize(
        "url", ["shop.example", "ftp://shop.example", "http://", "https://x/?token=1", None, 5]
    )
    def test_a_target_is_an_http_url(self, url):
        with pytest.raises(ConfigError, match="target 'app'"):
            HttpSource({"app": url})

    def test_proxies_of_the_environment_are_ignored(self, source, monkeypatch):
        with (
            Server(lambda _: response(200, '"proxy"')) as proxy,
            Server(lambda _: response(200, '"it"')) as server,
        ):
            for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
                monkeypatch.setenv(name, proxy.url)
            monkeypatch.delenv("no_proxy", raising=False)
            monkeypatch.delenv("NO_PROXY", raising=False)

            assert source(server.url).get("/").json() == "it"
            assert source(server.url, use_proxy=True).get("/").json() == "proxy"
            assert proxy.requests[0].startswith(f"GET {server.url}/ HTTP/1.1")

    def test_no_proxy_is_honoured_with_use_proxy(self, source, monkeypatch):
        with Server(lambda _: response(200, '"it"')) as server:
            monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
            monkeypatch.setenv("no_proxy", "127.0.0.1")

            assert source(server.url, use_proxy=True).get("/").json() == "it"


class TestSecrets:
    def test_are_sent_but_not_shown(self, source):
        with Server(lambda _: response(200, "{}")) as server:
            url = server.url.replace("http://", f"http://user:{SECRET}@")
            reading = source(url).get(f"/x?token={SECRET}", headers={"Authorization": f"Bearer {SECRET}"})

            assert SECRET in server.requests[0]
        assert SECRET not in repr(reading)

    @pytest.mark.parametrize("path", [f"/x?token={SECRET}", f"/x?{SECRET}"])
    def test_are_in_no_message(self, source, path):
        with pytest.raises(SourceError) as caught:
            source(f"http://user:{SECRET}@127.0.0.1:9").get(path)
        assert SECRET not in str(caught.value)

    @pytest.mark.parametrize(
        "request_", [{"headers": {"X": f"{SECRET}\n"}}, {"headers": {"X": 5}}, {"method": f"G T{SECRET}"}]
    )
    def test_a_malformed_request_is_the_gates_mistake(self, source, request_):
        with Server(lambda _: response(200, "{}")) as server:
            with pytest.raises(MeasurementError) as caught:
                source(server.url).get("/", **request_)
            assert SECRET not in str(caught.value).replace(request_.get("method", "-").upper(), "")
            assert server.requests == []


class TestTls:
    @pytest.fixture
    def authority(self, tmp_path):
        """A self-signed certificate for localhost: (certificate, key)."""
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=True)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        folder = tmp_path
        (folder / "ca.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        (folder / "key.pem").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return folder / "ca.pem", folder / "key.pem"

    @pytest.fixture
    def url(self, authority):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority)
        listener = socket.create_server(("127.0.0.1", 0))

        def serve():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                try:
                    with context.wrap_socket(connection, server_side=True) as secure:
                        secure.recv(65536)
                        secure.sendall(response(200, '"secure"'))
                except OSError:
                    connection.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"https://localhost:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(2)

    def test_an_unknown_authority_is_refused(self, source, url, monkeypatch):
        monkeypatch.delenv("SSL_CERT_FILE", raising=False)
        with pytest.raises(SourceError, match="cannot read") as caught:
            source(url).get("/")
        assert "private CA" in caught.value.hint

    def test_a_private_authority_by_option(self, source, url, authority):
        assert source(url, ca_file=authority[0]).get("/").json() == "secure"

    def test_a_private_authority_by_environment(self, source, url, authority, monkeypatch):
        monkeypatch.setenv("SSL_CERT_FILE", str(authority[0]))

        assert source(url).get("/").json() == "secure"

    def test_another_name_is_refused(self, source, url, authority):
        with pytest.raises(SourceError, match="cannot read"):
            source(url.replace("localhost", "127.0.0.1"), ca_file=authority[0]).get("/")

    def test_a_hanging_handshake_is_cut(self, source, authority):
        with Server(lambda *_: time.sleep(3), raw=True) as server:
            started = time.monotonic()
            with pytest.raises(SourceError, match="within"):
                source(server.url.replace("http:", "https:"), 0.4, ca_file=authority[0]).get("/")
            assert time.monotonic() - started < 1

    def test_a_missing_authority_file_is_said_at_once(self, tmp_path):
        with pytest.raises(ConfigError, match="no file of certificate authorities"):
            HttpSource({"app": "http://127.0.0.1"}, ca_file=tmp_path / "no.pem")

    def test_a_file_without_certificates_is_refused(self, tmp_path):
        (tmp_path / "ca.pem").write_text("nothing")
        with pytest.raises(ConfigError, match="cannot use the certificate authorities"):
            HttpSource({"app": "http://127.0.0.1"}, ca_file=tmp_path / "ca.pem")


class TestImports:
    def test_httpx_comes_in_only_when_a_source_is_built(self):
        code = "import sys; import pytest_cutover.sources.http, pytest_cutover.sources.readyz; print('httpx' in sys.modules)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

        assert done.stdout == "False\n"


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0.0993542360010, 0.099355), (0.5, 0.5), (0.50000000001, 0.500001)]
)
def test_latency_is_rounded_upwards(seconds: float, expected: float) -> None:
    """A value just beyond a limit stays beyond it."""
    assert _up_to_microseconds(seconds) == expected
