"""Gates that reach for the run's own files: the journal, the report, a bundle; and what lay there before."""

from __future__ import annotations

import json

from tests.false_go.harness import (
    ALL,
    NO_WORKERS,
    PAIR,
    SUPERVISED,
    Expect,
    LyingRun,
    Mode,
    gate_module,
    red,
    refused,
    unproven,
    unseen,
)
from tests.false_go.projects.bases import GREEN, ONE, ONE_FILE, RED, TWO, TWO_FILE

SAME_FILE = (
    "the journal is one file, written by one process in every mode; journal-forged-line runs in all four"
)
GONE = "the process ended itself: nothing of the engine is left to give an exit code"
DAMAGED = unproven("run.journal-damaged")
CUT_SHORT = unproven("run.journal-incomplete")
UNWRITABLE = Expect(frozenset({11}))
"""There is no folder left, or nothing in it, that the parent could write a report into."""

FIND = """
import glob, json, os, pathlib
folder = pathlib.Path(sorted(glob.glob("var/cutover/runs/*-*"))[-1])
path = folder / "journal.jsonl"
"""

STALE_FOLDER = "20200101T000000Z-00000000"
_STALE = json.dumps({"format": 1, "decision": {"verdict": "GO", "exit_code": 0, "findings": []}})


def _tamper(
    name: str,
    why: str,
    body: str,
    expect: Expect = DAMAGED,
    *,
    supervised: Expect | None = None,
    modes: tuple[Mode, ...] = PAIR,
    measure: str = RED,
) -> LyingRun:
    return LyingRun(
        name,
        why,
        TWO,
        expect,
        files={
            ONE_FILE: gate_module(RED if measure is RED else measure),
            TWO_FILE: gate_module(FIND + body + f"\n{GREEN}", gate="two"),
        },
        by_mode={} if supervised is None else dict.fromkeys(SUPERVISED, supervised),
        modes=modes,
        reduced="" if modes == ALL else SAME_FILE,
    )


_FORGED = 'json.dumps({"seq": %s, "event": "gate.finished", "at": "2026-11-21T09:00:00.000000Z", "nodeid": "gates/test_one.py::test_one", "worker": "main", "attempt": 1, "phases": [[w, "passed", "", "", 0.0] for w in ("setup", "call", "teardown")], "measurements": [{"name": "v", "value": "1", "kind": "number", "unit": "1", "observed_at": "2026-11-21T09:00:00.000000Z"}], "measured": 1, "reported": 3, "notes": [], "attachments": [], "duration_s": 0.0}) + "\\n"'

LIES = (
    _tamper(
        "journal-forged-line",
        "a gate appends a forged end of another, red gate",
        f"with path.open('a') as f:\n    f.write({_FORGED % 'path.read_text().count(chr(10))'})\n",
        # Under xdist the red gate may run on either side of it.
        Expect(frozenset({10, 11}), "run.journal-damaged"),
        modes=ALL,
    ),
    _tamper(
        "journal-replaced-line",
        "a gate rewrites the line of a red gate in place",
        'text = path.read_text()\npath.write_text(text.replace(\'"value":"5"\', \'"value":"1"\'))\n',
    ),
    _tamper(
        "journal-truncated",
        "a gate truncates the journal",
        "os.truncate(path, 0)\n",
        supervised=CUT_SHORT,
    ),
    _tamper(
        "journal-lines-removed",
        "a gate removes the last lines of the journal",
        "lines = path.read_text().splitlines(True)\npath.write_text(''.join(lines[:-2]))\n",
    ),
    _tamper(
        "journal-deleted",
        "a gate deletes the journal",
        "path.unlink()\n",
        supervised=UNWRITABLE,
    ),
    _tamper(
        "journal-swapped",
        "a gate replaces the journal by a copy without the red line",
        "lines = [l for l in path.read_text().splitlines(True) if '\"5\"' not in l]\npath.unlink()\npath.write_text(''.join(lines))\n",
    ),
    _tamper(
        "journal-reordered",
        "a gate reverses the journal",
        "path.write_text(''.join(reversed(path.read_text().splitlines(True))))\n",
        supervised=CUT_SHORT,
    ),
    _tamper(
        "journal-garbage",
        "a gate appends something that is no JSON",
        "with path.open('ab') as f:\n    f.write(b'\\xff\\x00 no json\\n')\n",
        red("run.journal-damaged"),
    ),
    _tamper(
        "journal-half-line",
        "a gate appends half a line",
        "with path.open('ab') as f:\n    f.write(b'{\"seq\":')\n",
        red("run.journal-damaged"),
    ),
    _tamper(
        "journal-read-only",
        "a gate makes the journal read-only",
        "path.chmod(0o400)\nfolder.chmod(0o500)\n",
        red(),
    ),
    _tamper(
        "journal-folder",
        "a gate puts a folder in the journal's place",
        "path.unlink()\npath.mkdir()\n",
        supervised=UNWRITABLE,
    ),
    _tamper(
        "journal-fifo",
        "a gate puts a pipe that nobody writes to in the journal's place",
        "path.unlink()\nos.mkfifo(path)\n",
        supervised=UNWRITABLE,
    ),
    _tamper(
        "journal-link",
        "a gate puts a link to an empty file in the journal's place",
        "path.unlink()\npath.symlink_to('/dev/null')\n",
        supervised=UNWRITABLE,
    ),
    _tamper(
        "run-folder-deleted",
        "a gate deletes the run folder",
        "import shutil\nshutil.rmtree(folder)\n",
        supervised=UNWRITABLE,
    ),
    _tamper(
        "run-folder-moved",
        "a gate moves the run folder away",
        "folder.rename(folder.with_name('moved-away'))\n",
        supervised=UNWRITABLE,
    ),
    _tamper(
        "report-in-the-way",
        "a gate puts a folder in the report's place",
        "(folder / 'report.json').mkdir()\n(folder / 'report.json' / 'x').touch()\n",
        Expect(frozenset({10})),
    ),
    _tamper(
        "report-forged",
        "a gate writes a report that says GO",
        f"(folder / 'report.json').write_text({_STALE!r})\n",
        red(),
    ),
    _tamper(
        "files-closed",
        "a gate closes every file that is open",
        "for n in range(3, 60):\n    try:\n        os.close(n)\n    except OSError:\n        pass\n",
        Expect(frozenset({1, 3, 10, 11})),
        supervised=red("run.journal-incomplete"),
        modes=NO_WORKERS,
    ),
    _tamper(
        "journal-descriptor",
        "a gate redirects the engine's own file to nowhere",
        "null = os.open('/dev/null', os.O_WRONLY)\nfor n in range(3, 60):\n    try:\n        if os.path.samestat(os.fstat(n), path.stat()):\n            os.dup2(null, n)\n    except OSError:\n        pass\n",
        Expect(frozenset({10})),
        supervised=red("run.journal-incomplete"),
        modes=NO_WORKERS,
    ),
    _tamper(
        "journal-forged-end",
        "a gate writes the run's end with a digest of its own, and the engine goes on",
        "import hashlib\nlines = path.read_bytes()\nfirst = json.loads(lines.splitlines()[0])\nend = {'seq': lines.count(b'\\n'), 'event': 'run.finished', 'at': first['at'], 'status': 0, 'exit': 11, 'nonce': first['nonce'], 'counts': {}, 'sha256': hashlib.sha256(lines).hexdigest()}\npath.open('a').write(json.dumps(end) + '\\n')\n",
        red("run.journal-damaged"),
    ),
    LyingRun(
        "bundle-forged",
        "a gate leaves a bundle that says GO, signed by a key of its own",
        ONE,
        red(),
        files={
            ONE_FILE: gate_module(
                FIND
                + "import base64\nstatement = {'_type': 'https://in-toto.io/Statement/v1', 'subject': [{'name': 'shop', 'digest': {'sha256': 'ab' * 32}}], 'predicateType': 'https://slsa.dev/verification_summary/v1', 'predicate': {'verificationResult': 'PASSED', 'verifiedLevels': ['CUTOVER_GO']}}\npayload = base64.b64encode(json.dumps(statement).encode()).decode()\n(folder / 'bundle.intoto.jsonl').write_text(json.dumps({'payload': payload, 'payloadType': 'application/vnd.in-toto+json', 'signatures': [{'keyid': '', 'sig': 'AAAA'}]}) + '\\n')\ngate.measure('v', 5)"
            )
        },
        keyed=True,
    ),
    LyingRun(
        "stale-report",
        "an older run's report says GO, and this run is killed before it can say anything",
        ONE,
        unproven("run.journal-incomplete"),
        files={
            f"var/cutover/runs/{STALE_FOLDER}/report.json": _STALE,
            ONE_FILE: gate_module("import os\nos._exit(0)"),
        },
        by_mode={Mode.ALONE: unseen(GONE)},
        modes=NO_WORKERS,
        reduced="under xdist a worker's exit does not kill the run",
        planted=(STALE_FOLDER,),
    ),
    LyingRun(
        "run-folder-is-a-file",
        "the place of the run folders is taken by a file",
        ONE,
        refused(4),
        files={"var/cutover": "in the way"},
        by_mode={Mode.SUPERVISED: refused(2)},
        modes=PAIR,
        reduced="it is found before anything runs",
    ),
)
