"""Gates written in TOML whose command, address or scan measured nothing, and looks as if it had."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

from tests.false_go.harness import (
    ENDS,
    PAIR,
    VARIANT,
    Expect,
    LyingRun,
    Mode,
    gate_module,
    policy,
    red,
    truly_go,
    unproven,
)
from tests.false_go.projects.bases import GREEN, ONE_FILE, SCANNED, TOML, TOML_FILE, gate_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.false_go.harness import Base, Workshop

FIGURE = r"measure.v = { figure = 'v=(\S+)' }"
EXIT_CODE = 'measure.v = "exit_code"'
ERROR = unproven("gate.error")
UNREADABLE = unproven("run.collect-error")
TIMEOUT = unproven("gate.timeout")
ONCE = "the measuring is the same everywhere; its kind of failure runs in all modes"


def shell(line: str, measure: str = FIGURE, more: str = "") -> str:
    return gate_file(f"shell = '''{line}'''\n{more}\n{measure}")


# Whoever of pytest's processes loads it first serves the others as well.
_SERVER = """
import http.server, pathlib, threading

PORT = int(pathlib.Path(__file__).with_name("port.txt").read_text())

class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        status, length, location, body = {
            "/ok": (200, 3, None, b"v=1"),
            "/moved": (302, 3, "/ok", b"v=1"),
            "/away": (302, 3, f"http://localhost:{PORT}/ok", b"v=1"),
            "/broken": (500, 3, None, b"v=1"),
            "/cut": (200, 9, None, b"v=1"),
            "/empty": (200, 0, None, b""),
            "/twice": (200, 7, None, b"v=1\\nv=2"),
            "/json": (200, 21, None, b'{"v": 1, "v": 5, "w":'),
        }[self.path]
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        if location:
            self.send_header("Location", location)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_): pass

try:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Answer)
except OSError:
    pass
else:
    threading.Thread(target=server.serve_forever, daemon=True).start()
"""


def _serve(workshop: Workshop) -> None:
    """A free port for the project's own server, and the policy that names it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (workshop.root / "gates/port.txt").write_text(str(port))
    path = workshop.root / "configs/policy.json"
    document = json.loads(path.read_text())
    document["environments"]["sandbox"]["targets"] = {"app": f"http://127.0.0.1:{port}"}
    path.write_text(json.dumps(document))


def _url(path: str, more: str = FIGURE) -> dict[str, str]:
    return {TOML_FILE: gate_file(f'url = "{path}"\n{more}')}


def _lie(
    name: str, why: str, body: str, expect: Expect = ERROR, *, all_modes: bool = False, base: Base = TOML, **more: Any
) -> LyingRun:  # fmt: skip
    return LyingRun(
        f"toml-{name}",
        why,
        base,
        expect,
        files={TOML_FILE: body, **more.pop("files", {})},
        modes=tuple(Mode) if all_modes else more.pop("modes", VARIANT),
        reduced="" if all_modes else ONCE,
        **more,
    )


def _fetched(name: str, why: str, path: str, more: str = FIGURE, *, modes: tuple[Mode, ...] = VARIANT, limits: Mapping[str, Any] | None = None, expect: Expect = ERROR) -> LyingRun:  # fmt: skip
    return LyingRun(
        f"toml-url-{name}",
        why,
        TOML,
        expect,
        files={"gates/conftest.py": _SERVER, **_url(path, more)},
        policy=policy("one", limits=limits),
        prepare=_serve,
        modes=modes,
        reduced="" if modes == tuple(Mode) else ONCE,
    )


_LOOSE = policy("one", limits={"one": {"v": {"at_most": 200}}})

LIES = (
    # -- what a command measured
    _lie("red", "nothing hides it", shell("echo v=5"), red(), all_modes=True),
    _lie("nan", "it prints NaN", shell("echo v=NaN"), all_modes=True),
    _lie("infinity", "it prints -inf, which is at most everything", shell("echo v=-inf")),
    _lie("huge", "a number beyond all measure", shell("echo v=-1e999999")),
    _lie("two-figures", "it prints 1, then 5", shell("echo v=1; echo v=5"), all_modes=True),
    _lie("no-figure", "it prints no figure at all", shell("echo fine"), all_modes=True),
    _lie("silent", "it prints nothing", shell("true")),
    _lie(
        "part-of-a-figure",
        "the pattern takes the 1 of 1.9",
        shell("echo v=1.9", r"measure.v = { figure = 'v=(\d+)' }"),
    ),
    _lie("lost-digits", "a greedy pattern leaves the 1 of 91", shell("echo v=91", r"measure.v = { figure = 'v=.*(\d+)' }")),
    _lie("lost-exponent", "the pattern takes the 1 of 1e3", shell("echo v=1e3", r"measure.v = { figure = 'v=(\d)' }")),
    _lie("other-stream", "the figure stands on stderr", shell("echo v=1 >&2")),
    _lie(
        "other-unit",
        "ms where the limit has no unit",
        shell("echo v=1", r"measure.v = { figure = 'v=(\S+)', unit = 'ms' }"),
        unproven("measurement.unit"),
    ),
    _lie(
        "text",
        "a text where the limit is a number",
        shell("echo v=1", r"measure.v = { text = 'v=(\S+)' }"),
        unproven("measurement.kind"),
    ),
    _lie(
        "json-true",
        "JSON's true is at most 1",
        shell("""echo '{"v": true}'""", r'measure.v = { json = "$.v" }'),
        unproven("measurement.kind"),
    ),
    _lie("json-null", "JSON's null", shell("""echo '{"v": null}'""", r'measure.v = { json = "$.v" }')),
    _lie("json-twice", "a key that stands twice", shell("""echo '{"v": 1, "v": 5}'""", r'measure.v = { json = "$.v" }')),
    _lie("json-nan", "JSON with NaN", shell("""echo '{"v": NaN}'""", r'measure.v = { json = "$.v" }')),
    _lie(
        "weaker-limit",
        "the file itself says that 99 is good",
        shell("echo v=5", r"measure.v = { figure = 'v=(\S+)', at_most = 99 }"),
        red(),
        modes=PAIR,
    ),
    _lie(
        "information",
        "recorded as information, and red",
        shell("echo v=5", r"measure.v = { figure = 'v=(\S+)', information = true }"),
        red(),
    ),
    _lie(
        "other-name",
        "measured under another name",
        shell("echo v=1", r"measure.w = { figure = 'v=(\S+)', at_most = 1 }"),
        unproven("limit.unmeasured"),
    ),
    # -- how a command ended
    _lie("missing", "no such command", gate_file(f'command = ["no-such-command"]\n{FIGURE}'), all_modes=True),
    _lie(
        "missing-in-shell",
        "the shell's 127 lies within a loose limit",
        shell("no-such-command", EXIT_CODE),
        policy=_LOOSE,
        modes=PAIR,
    ),
    _lie(
        "not-executable",
        "a script without the right to run",
        gate_file(f'command = ["./check.sh"]\n{EXIT_CODE}'),
        files={"check.sh": "exit 0\n"},
    ),
    _lie("failed", "it prints 1 and fails", shell("echo v=1; exit 3"), all_modes=True),
    _lie(
        "failed-midway",
        "a command in the middle fails, and the last one does not",
        shell("echo v=1\nfalse\ntrue"),
    ),
    _lie("unset-variable", "a variable that is not there", shell('echo "v=1$NOT_THERE"')),
    _lie(
        "signal",
        "its exit code is -9, which is at most 1",
        gate_file(f'command = ["bash", "kill.sh"]\n{EXIT_CODE}'),
        files={"kill.sh": "kill -9 $$\n"},
        all_modes=True,
    ),
    _lie("signal-in-shell", "137 of the shell, under a loose limit", shell("bash -c 'kill -9 $$'; exit", EXIT_CODE), policy=_LOOSE),
    _lie("pipe", "the last command of a pipe is well", shell("false | cat", EXIT_CODE + "\n"), red(), policy=policy("one", limits={"one": {"v": {"equals": 0}}}), all_modes=True),
    _lie(
        "pipe-of-sh",
        "a pipe in sh hides what failed before it",
        gate_file(f'command = ["sh", "-c", "false | cat"]\n{EXIT_CODE}'),
        UNREADABLE,
    ),
    _lie(
        "substitution",
        "a command in the middle of $( ) fails, its last one does not",
        shell("v=$(false; echo 1); echo v=$v"),
    ),
    _lie("hangs", "it hangs", shell("echo v=1; sleep 60", more="timeout_s = 0.5"), TIMEOUT, all_modes=True),
    _lie(
        "hangs-in-another-group",
        "it hangs in a session of its own",
        shell("echo v=1; setsid --wait sleep 60", more="timeout_s = 0.5"),
        TIMEOUT,
        modes=ENDS,
    ),
    _lie(
        "outlived",
        "it forks, says that all is well, and the real work goes on beyond the limit",
        shell("(sleep 60; echo v=5) & echo v=1", more="timeout_s = 20"),
        all_modes=True,
    ),
    _lie(
        "outlived-quietly",
        "what it leaves running holds no output",
        shell("sleep 60 >/dev/null 2>&1 & echo v=1"),
        modes=ENDS,
    ),
    _lie(
        "outlived-elsewhere",
        "what it leaves running has left its process group as well",
        shell("setsid sleep 60 >/dev/null 2>&1 & echo v=1"),
        modes=ENDS,
    ),
    _lie("cut", "more output than allowed, the figure stands at its begin", shell("echo v=1; yes | head -c 5000", more="max_output_bytes = 1000"), modes=ENDS),
    _lie("variable", "a variable to be let through is not there", shell("echo v=1", more='env_from = ["NOT_THERE"]')),
    _lie("folder", "the folder to run in is gone", shell("echo v=1", more='folder = "gone"')),
    # -- scans
    _lie("scan-red", "it finds something", gate_file("scan = \"elsewhere\"\nmeasure.v = { count = 'unfinished' }"), red(), base=SCANNED, modes=ENDS),
    _lie("scan-nowhere", "the folder does not exist", gate_file("scan = \"scr\"\nmeasure.v = { count = 'unfinished' }"), base=SCANNED, all_modes=True),
    _lie(
        "scan-one-nowhere",
        "one of two folders does not exist",
        gate_file("scan = [\"src\", \"scr\"]\nmeasure.v = { count = 'unfinished' }"),
        base=SCANNED,
    ),
    _lie(
        "scan-excluded",
        "the excludes leave nothing",
        gate_file("scan = \"elsewhere\"\nexclude = [\"*.txt\"]\nmeasure.v = { count = 'unfinished' }"),
        base=SCANNED,
        all_modes=True,
    ),
    _lie(
        "scan-other-files",
        "no file has the wanted name",
        gate_file("scan = \"elsewhere\"\nfiles = [\"*.rs\"]\nmeasure.v = { count = 'unfinished' }"),
        base=SCANNED,
    ),
    _lie(
        "scan-linked",
        "a link leads out of the folder",
        gate_file("scan = \"src\"\nmeasure.v = { count = 'unfinished' }"),
        base=SCANNED,
        prepare=lambda workshop: (workshop.root / "src/more").symlink_to(workshop.root / "elsewhere"),
    ),
    _lie(
        "scan-utf16",
        "the file is UTF-16, where every second byte is zero",
        gate_file("scan = \"src\"\nmeasure.v = { count = 'unfinished' }"),
        red(),
        base=SCANNED,
        prepare=lambda workshop: (workshop.root / "src/wide.txt").write_text("unfinished, unfinished", encoding="utf-16"),
    ),
    # -- addresses
    _fetched("ok", "the server of these projects is well", "/ok", expect=truly_go("nothing is wrong with it"), modes=tuple(Mode)),
    _fetched("red", "nothing hides it", "/twice", r"measure.v = { figure = 'v=(2)' }", expect=red()),
    _fetched("two-figures", "two figures in one answer", "/twice"),
    _fetched("away", "a redirect to another host", "/away", modes=tuple(Mode)),
    _fetched("away-followed", "a redirect to another host is not followed either way", "/away", f"follow = true\n{FIGURE}"),
    _fetched("moved", "a redirect to another page of the same host", "/moved", modes=PAIR),
    _fetched("broken", "HTTP 500 that prints 1", "/broken"),
    _fetched("cut", "the answer ends before its announced length", "/cut", modes=PAIR),
    _fetched("empty", "an empty answer holds no error", "/empty", "measure.v = { count = 'error' }"),
    _fetched("json", "JSON that ends in the middle", "/json", 'measure.v = { json = "$.v" }'),
    _fetched("other-host", "an address that is no target", "http://127.0.0.1:1/ok"),
    LyingRun(
        "toml-url-nobody",
        "nobody listens",
        TOML,
        ERROR,
        files=_url("/ok"),
        prepare=_serve,
        modes=VARIANT,
        reduced=ONCE,
    ),
    # -- the file
    _lie("unfinished", "the file ends in the middle of a key", 'format = 1\nphase = "pre', UNREADABLE, all_modes=True),
    _lie("no-format", "a file without its format", shell("echo v=1").replace("format = 1", ""), UNREADABLE),
    _lie("other-format", "a format of the future", shell("echo v=1").replace("format = 1", "format = 2"), UNREADABLE),
    _lie("unknown-key", "a misspelt key", shell("echo v=1", more="timeout = 3"), UNREADABLE),
    _lie("limit-nan", "a limit that nothing breaks", shell("echo v=5", r"measure.v = { figure = 'v=(\S+)', at_most = nan }"), UNREADABLE),
    _lie("unmeasured", "a gate that measures nothing", gate_file('command = ["true"]'), UNREADABLE, modes=PAIR),
    _lie("no-group", "a pattern without a group", shell("echo v=1", "measure.v = { figure = 'v=1' }"), UNREADABLE),
    _lie("many-values", "a path that names several values", shell("echo '[1]'", 'measure.v = { json = "$[*]" }'), UNREADABLE),
    _lie("single-brackets", "[gate] instead of [[gate]]", shell("echo v=1").replace("[[gate]]", "[gate]"), UNREADABLE),
    _lie(
        "duplicate",
        "a green Python gate has the id of a red TOML gate",
        shell("echo v=5"),
        Expect(frozenset({10}), "gate.duplicate"),
        files={ONE_FILE: gate_module(GREEN)},
        all_modes=True,
    ),
    _lie(
        "duplicate-green",
        "both are green, and nobody knows which one was meant",
        shell("echo v=1"),
        unproven("gate.duplicate"),
        files={ONE_FILE: gate_module(GREEN)},
        modes=ENDS,
    ),
    _lie(
        "duplicate-file",
        "two files have it",
        shell("echo v=1"),
        unproven("gate.duplicate"),
        files={"gates/two.toml": shell("echo v=1")},
    ),
    _lie(
        "duplicate-in-file",
        "one file has it twice",
        shell("echo v=1") + shell("echo v=1").partition('phase = "preflight"')[2],
        UNREADABLE,
    ),
    _lie(
        "elsewhere",
        "the file was moved out of gates",
        "format = 1",
        unproven("gate.not-collected"),
        files={TOML_FILE: None, "checks/one.toml": shell("echo v=1")},
        modes=ENDS,
    ),
    _lie("deselected", "-k names another", shell("echo v=1"), unproven("gate.deselected"), args=("-k", "two"), modes=ENDS),
)  # fmt: skip
