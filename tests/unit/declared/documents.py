"""Files of gates, good and bad, for the reader and the schema."""

from __future__ import annotations

HEAD = 'format = 1\nphase = "preflight"\n'


def gate(body: str, *, head: str = HEAD, name: str = "one") -> str:
    """A file with one gate."""
    return f'{head}\n[[gate]]\nid = "{name}"\n{body}\n'


def measuring(value: str, kind: str = 'command = ["true"]') -> str:
    """A file whose gate has one measurement, v."""
    return gate(f"{kind}\nmeasure.v = {value}")


URL = 'url = "/x"'
SCAN = 'scan = "src"'
READYZ = 'readyz = "/readyz"'

GOOD = {
    "command": measuring('"exit_code"'),
    "shell": gate("shell = '''\nset -x\nmake | tee log\n'''\nmeasure.v = \"duration\""),
    "every word of a command": gate(
        'command = ["x", ""]\nmeasure = { a = "exit_code", b = "duration", c = "stdout", d = "stderr", e = "lines" }'
    ),
    "every key of a command": gate(
        'title = "t"\ncategory = "c"\nowner = "o"\nremedy = "r"\ntimeout_s = 2.5\ncommand = ["x"]\nfolder = "a"\n'
        'env = { A = "" }\nenv_from = ["B"]\nenv_targets = { C = "app" }\nexit_codes = [0, 1]\nleaves_processes = true\n'
        'max_output_bytes = 10\nmeasure.v = { of = "exit_code", information = true }'
    ),
    "figure": measuring(r"""{ figure = 'v=(\d+)', in = "stderr", unit = "ms", at_most = 1.5 }"""),
    "figure with samples": measuring(r"{ figure = 'v=(\d+)', samples = { figure = 'n=(\d+)', in = 'stderr' } }"),
    "text": measuring(r"{ text = '(a|b)', one_of = ['a', 'b'] }"),
    "count": measuring("{ count = 'x', between = [0, 3] }"),
    "json": measuring('{ json = "$.a[-1]", samples = { items = "$.a" }, equals = "x" }'),
    "items": measuring('{ items = "$", at_least = 1 }'),
    "number to be one of": measuring("{ of = 'exit_code', one_of = [0, 1.5] }"),
    "url": measuring('"status"', URL),
    "every key of a URL": gate(
        f'{URL}\ntarget = "t"\nmethod = "HEAD"\nheaders = {{ A = "" }}\nheaders_from = {{ B = "TOKEN" }}\nretries = 3\n'
        'follow = true\nmeasure = { a = "status", b = "latency", c = "body", d = "size" }'
    ),
    "metric": measuring('{ metric = "m", labels = { a = "" } }', URL),
    "header": measuring('{ header = "X-Version" }', URL),
    "readyz": gate(
        f'{READYZ}\ntarget = "t"\nretries = 1\nmeasure.db = {{ check = "db" }}\nmeasure.a = "status"\n'
        'measure.b = "failing_checks"\nmeasure.c = "latency"\nmeasure.d = "http_status"'
    ),
    "scan": gate("scan = ['a', 'b']\nfiles = ['*.py']\nexclude = ['c/']\nmeasure.v = { count = 'x' }\nmeasure.n = \"files\""),
    "top": gate('command = ["x"]\nmeasure.v = "lines"', head=HEAD + 'owner = "o"\nenv_from = ["A"]\nfolder = "f"\ntimeout_s = 3\n'),
    "phase of its own": gate('phase = "orr"\ncommand = ["x"]\nmeasure.v = "lines"', head="format = 1\n"),
    "table of measurements": gate('command = ["x"]\n\n[gate.measure]\nv = "lines"\n\n[gate.measure.w]\nof = "lines"'),
}  # fmt: skip

BAD = {
    "no format": (gate('command = ["x"]\nmeasure.v = "lines"', head='phase = "orr"\n'), 1, "expected the key 'format', got none"),
    "other format": (gate("", head="format = 2\n"), 1, "expected 1, got 2"),
    "format true": (gate("", head="\nformat = true\n"), 2, "expected 1, got true"),
    "no gate": (HEAD, 1, r"expected at least one table \[\[gate\]\]"),
    "one gate in single brackets": (HEAD + "[gate]\nid = 'a'", 3, r"expected at least one table \[\[gate\]\]"),
    "unknown key at the top": (gate('command = ["x"]\nmeasure.v = "lines"', head=HEAD + "ownr = 'a'\n"), 3, "unknown key 'ownr'"),
    "unknown key": (gate('command = ["x"]\nowne = "x"\nmeasure.v = "lines"'), 7, "gate one: unknown key 'owne'"),
    "key of another kind": (gate('command = ["x"]\nretries = 1\nmeasure.v = "lines"'), 7, "unknown key 'retries'"),
    "no id": (HEAD + '[[gate]]\ncommand = ["x"]\nmeasure.v = "lines"', 3, "gate 1: expected the key 'id', got none"),
    "bad id": (gate('command = ["x"]\nmeasure.v = "lines"', name="A b"), 5, "expected an id of lower-case letters"),
    "no phase": (gate('command = ["x"]\nmeasure.v = "lines"', head="format = 1\n"), 3, "expected the key 'phase', got none"),
    "unknown phase": (gate('phase = "prefligth"\ncommand = ["x"]\nmeasure.v = "lines"'), 6, "expected one of preflight, "),
    "nothing read": (gate('measure.v = "lines"'), 4, "expected one of command, shell, url, readyz, scan, got none"),
    "two things read": (gate('command = ["x"]\nurl = "/"\nmeasure.v = "lines"'), 4, "got command and url"),
    "command as a text": (gate('command = "ls -l"\nmeasure.v = "lines"'), 6, "expected a command as a list of texts, got the text 'ls -l'"),
    "empty command": (gate('command = []\nmeasure.v = "lines"'), 6, "got an empty list"),
    "number in a command": (gate('command = ["a", 1]\nmeasure.v = "lines"'), 6, r"got the list \['a', 1\]"),
    "time limit 0": (gate('timeout_s = 0\ncommand = ["x"]\nmeasure.v = "lines"'), 6, "expected seconds above 0 and at most 86400, got 0"),
    "time limit nan": (gate('timeout_s = nan\ncommand = ["x"]\nmeasure.v = "lines"'), 6, "expected seconds .*, got nan"),
    "time limit true": (gate('timeout_s = true\ncommand = ["x"]\nmeasure.v = "lines"'), 6, "expected seconds .*, got true"),
    "exit code 127": (gate('command = ["x"]\nexit_codes = [127]\nmeasure.v = "lines"'), 7, "expected a list of exit codes from 0 to 125"),
    "bad variable": (gate('command = ["x"]\nenv_from = ["A B"]\nmeasure.v = "lines"'), 7, "expected a list of names of environment variables"),
    "method POST": (gate(f'{URL}\nmethod = "POST"\nmeasure.v = "status"'), 7, "expected one of GET, HEAD"),
    "many retries": (gate(f'{URL}\nretries = 11\nmeasure.v = "status"'), 7, "expected a whole number from 0 to 10, got 11"),
    "no scan": (gate('scan = []\nmeasure.v = "files"'), 6, "expected a text, or a list of texts"),
    "no measurement": (gate('command = ["x"]'), 4, "expected measurements, got none"),
    "empty measurements": (gate('command = ["x"]\nmeasure = {}'), 7, "expected measurements, got an empty table"),
    "measurement as a number": (measuring("3"), 7, "measure v: expected a word or a table, got 3"),
    "bad name": (gate('command = ["x"]\nmeasure."a b" = "lines"'), 7, "expected a name of letters"),
    "unknown word": (measuring('"exitcode"'), 7, "expected one of exit_code, duration, "),
    "word of another kind": (measuring('"status"'), 7, "got the text 'status'"),
    "nothing taken": (measuring('{ unit = "s" }'), 7, "expected one of of, figure, text, count, json, items, got none"),
    "two things taken": (measuring("{ figure = '(a)', text = '(a)' }"), 7, "got figure and text"),
    "take of another kind": (measuring("{ metric = 'm' }"), 7, "unknown key 'metric'"),
    "labels without a metric": (measuring("{ count = 'm', labels = {} }", URL), 7, "expected labels beside metric only"),
    "two limits": (measuring('{ of = "exit_code", at_most = 1, equals = 0 }'), 7, "expected one limit, got at_most and equals"),
    "limit nan": (measuring('{ of = "exit_code", at_most = nan }'), 7, "at_most: expected a finite number, got nan"),
    "limit inf": (measuring('{ of = "exit_code", between = [0, inf] }'), 7, r"between: expected \[low, high\]"),
    "limit upside down": (measuring('{ of = "exit_code", between = [1, 0] }'), 7, r"between: expected \[low, high\]"),
    "limit true": (measuring('{ of = "exit_code", equals = true }'), 7, "equals: expected a finite number or a text, got true"),
    "mixed choice": (measuring('{ of = "exit_code", one_of = [0, "a"] }'), 7, "one_of: expected a list of numbers, or a list of texts"),
    "limit of the gate": (gate('command = ["x"]\nat_most = 3\nmeasure.v = "lines"'), 7, "unknown key 'at_most'"),
    "empty unit": (measuring("{ figure = '(a)', unit = '' }"), 7, "unit: expected a unit"),
    "samples as a number": (measuring("{ figure = '(a)', samples = 3 }"), 7, "samples: expected a table"),
    "samples of a text": (measuring("{ figure = '(a)', samples = { text = '(a)' } }"), 7, "unknown key 'text'"),
    "date": (gate('command = ["x"]\nowner = 2026-01-01\nmeasure.v = "lines"'), 7, "expected a text with something in it, got 2026-01-01"),
    "stream of its own": (measuring("{ figure = '(a)', in = 'stdlog' }"), 7, "in: expected stdout or stderr"),
}  # fmt: skip
"""The file, the line of its mistake, and what is said of it; a JSON Schema can say as much."""

ONLY_READ = {
    "no TOML": ("format = 1\nphase = = 3", 2, "expected TOML: Invalid value"),
    "the end in a text": ('format = 1\nphase = "pre', 2, "expected TOML"),
    "duplicate key": (gate('command = ["x"]\ncommand = ["y"]'), 7, "expected TOML: Cannot overwrite a value"),
    "byte order mark": ("\ufeffformat = 1", 1, "expected TOML"),
    "duplicate id": (gate('command = ["x"]\nmeasure.v = "lines"') + gate('command = ["x"]\nmeasure.v = "lines"', head=""), 10, "'one' is already that of the gate on line 5"),
    "bad pattern": (measuring("{ figure = '(a' }"), 7, "expected a regular expression, got the text '\\(a': missing \\)"),
    "no group": (measuring("{ figure = 'a' }"), 7, "expected a pattern with one group, got 0"),
    "two groups": (measuring("{ text = '(a)(b)' }"), 7, "expected a pattern with one group, got 2"),
    "pattern of nothing": (measuring("{ count = 'x*' }"), 7, "expected a pattern that needs a text"),
    "bad path": (measuring('{ json = "a.b" }'), 7, "expected the path of one JSON value, .*: a path begins with \\$"),
    "many values": (measuring('{ json = "$.a[*]" }'), 7, "cannot read '\\[\\*\\]'"),
    "in beside a word": (measuring('{ of = "exit_code", in = "stderr" }'), 7, "expected 'in' beside a pattern"),
    "other unit of a duration": (measuring('{ of = "duration", unit = "ms" }'), 7, "expected the unit 's' here, got 'ms'"),
    "line for a shell": (gate('command = ["/bin/sh", "-ec", "a | b"]\nmeasure.v = "lines"'), 6, "expected a command, got a line for a shell"),
    "signing key": (gate('command = ["x"]\nenv_from = ["CUTOVER_KEY_PEM"]\nmeasure.v = "lines"'), 7, "expected variables for a command, got CUTOVER_KEY_PEM"),
    "variable twice": (gate('command = ["x"]\nenv = { A = "1" }\nenv_from = ["A"]\nmeasure.v = "lines"'), 4, "expected each variable once, got 'A' twice"),
    "header twice": (gate(f'{URL}\nheaders = {{ a = "1", A = "2" }}\nmeasure.v = "status"'), 4, "expected each header field once, got 'a' twice"),
}  # fmt: skip
"""What only the reader knows."""
