"""Which keys a file of gates may have and what each takes: the one table behind the reader and the JSON Schema."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pytest_cutover.phases import PHASES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FORMAT = 1

ID_PATTERN = r"^[a-z0-9][a-z0-9._-]*$"
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
VARIABLE_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*$"

MAX_TIMEOUT_S = 86400
MAX_OUTPUT_BYTES = 64 << 20
UNIT_CHARS = 32


@dataclass(frozen=True, slots=True)
class Shape:
    """What a value may be: in words, as a test, and as JSON Schema."""

    expected: str
    accepts: Callable[[Any], bool]
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Key:
    """A key, the shape of its value, and a sentence for editors."""

    shape: Shape
    says: str
    hint: str = ""


def is_number(value: object) -> bool:
    """A finite number of TOML; true and false are none."""
    if isinstance(value, Decimal):
        return value.is_finite()
    return isinstance(value, int) and not isinstance(value, bool)


def is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _whole(low: int, high: int) -> Callable[[Any], bool]:
    return lambda v: isinstance(v, int) and not isinstance(v, bool) and low <= v <= high


def _list_of(accepts: Callable[[Any], bool], least: int = 1) -> Callable[[Any], bool]:
    return lambda v: isinstance(v, list) and len(v) >= least and all(map(accepts, v))


def _table_of(accepts: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda v: isinstance(v, dict) and all(is_text(k) and accepts(x) for k, x in v.items())


def _matches(pattern: str) -> Callable[[Any], bool]:
    import re

    compiled = re.compile(pattern)
    return lambda v: isinstance(v, str) and compiled.search(v) is not None and "\n" not in v


def _bound(value: object) -> bool:
    return is_number(value) or is_text(value)


_TEXT_SCHEMA = {"type": "string", "pattern": r"\S"}
_BOUND_SCHEMA = {"anyOf": [{"type": "number"}, _TEXT_SCHEMA]}

TEXT = Shape("a text with something in it", is_text, _TEXT_SCHEMA)
TEXTS = Shape(
    "a list of texts with at least one",
    _list_of(is_text),
    {"type": "array", "minItems": 1, "items": _TEXT_SCHEMA},
)
ARGUMENTS = Shape(
    "a command as a list of texts",
    lambda v: isinstance(v, list) and bool(v) and is_text(v[0]) and all(isinstance(a, str) for a in v),
    {"type": "array", "minItems": 1, "prefixItems": [_TEXT_SCHEMA], "items": {"type": "string"}},
)
TEXT_OR_TEXTS = Shape(
    "a text, or a list of texts with at least one",
    lambda v: is_text(v) or _list_of(is_text)(v),
    {"anyOf": [TEXT.schema, TEXTS.schema]},
)
BOOL = Shape("true or false", lambda v: isinstance(v, bool), {"type": "boolean"})
ID = Shape(
    "an id of lower-case letters, digits, '.', '_' and '-'",
    _matches(ID_PATTERN),
    {"type": "string", "pattern": ID_PATTERN},
)
PHASE = Shape(f"one of {', '.join(PHASES)}", lambda v: v in tuple(PHASES), {"enum": list(PHASES)})
TIMEOUT = Shape(
    f"seconds above 0 and at most {MAX_TIMEOUT_S}",
    lambda v: is_number(v) and 0 < v <= MAX_TIMEOUT_S,
    {"type": "number", "exclusiveMinimum": 0, "maximum": MAX_TIMEOUT_S},
)
VARIABLES = Shape(
    "a list of names of environment variables",
    _list_of(_matches(VARIABLE_PATTERN)),
    {"type": "array", "minItems": 1, "items": {"type": "string", "pattern": VARIABLE_PATTERN}},
)
ENV = Shape(
    "a table of environment variables with texts",
    lambda v: (
        isinstance(v, dict)
        and all(_matches(VARIABLE_PATTERN)(k) and isinstance(x, str) for k, x in v.items())
    ),
    {
        "type": "object",
        "propertyNames": {"pattern": VARIABLE_PATTERN},
        "additionalProperties": {"type": "string"},
    },
)
ENV_TARGETS = Shape(
    "a table of environment variables with names of targets",
    lambda v: isinstance(v, dict) and all(_matches(VARIABLE_PATTERN)(k) and is_text(x) for k, x in v.items()),
    {"type": "object", "propertyNames": {"pattern": VARIABLE_PATTERN}, "additionalProperties": _TEXT_SCHEMA},
)
HEADERS = Shape(
    "a table of header fields with texts",
    _table_of(lambda v: isinstance(v, str)),
    {"type": "object", "propertyNames": {"pattern": r"\S"}, "additionalProperties": {"type": "string"}},
)
HEADERS_FROM = Shape(
    "a table of header fields with names of environment variables",
    _table_of(_matches(VARIABLE_PATTERN)),
    {
        "type": "object",
        "propertyNames": {"pattern": r"\S"},
        "additionalProperties": {"type": "string", "pattern": VARIABLE_PATTERN},
    },
)
LABELS = Shape(
    "a table of labels with texts",
    _table_of(lambda v: isinstance(v, str)),
    {"type": "object", "propertyNames": {"pattern": r"\S"}, "additionalProperties": {"type": "string"}},
)
METHOD = Shape("one of GET, HEAD", lambda v: v in ("GET", "HEAD"), {"enum": ["GET", "HEAD"]})
RETRIES = Shape(
    "a whole number from 0 to 10", _whole(0, 10), {"type": "integer", "minimum": 0, "maximum": 10}
)
EXIT_CODES = Shape(
    "a list of exit codes from 0 to 125",
    _list_of(_whole(0, 125)),
    {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 0, "maximum": 125}},
)
OUTPUT_BYTES = Shape(
    f"bytes from 1 to {MAX_OUTPUT_BYTES}",
    _whole(1, MAX_OUTPUT_BYTES),
    {"type": "integer", "minimum": 1, "maximum": MAX_OUTPUT_BYTES},
)
STREAM = Shape("stdout or stderr", lambda v: v in ("stdout", "stderr"), {"enum": ["stdout", "stderr"]})
UNIT = Shape(
    "a unit such as 's' or '1'",
    lambda v: isinstance(v, str) and 0 < len(v) <= UNIT_CHARS and v == v.strip(),
    {"type": "string", "minLength": 1, "maxLength": UNIT_CHARS, "pattern": r"^\S(.*\S)?$"},
)
NUMBER = Shape("a finite number", is_number, {"type": "number"})
BOUND = Shape("a finite number or a text", _bound, _BOUND_SCHEMA)
RANGE = Shape(
    "[low, high]: two finite numbers, the lower one first",
    lambda v: isinstance(v, list) and len(v) == 2 and all(map(is_number, v)) and v[0] <= v[1],
    {"type": "array", "minItems": 2, "maxItems": 2, "items": {"type": "number"}},
)
CHOICE = Shape(
    "a list of numbers, or a list of texts",
    lambda v: _list_of(is_number)(v) or _list_of(is_text)(v),
    {
        "anyOf": [
            {"type": "array", "minItems": 1, "items": {"type": "number"}},
            {"type": "array", "minItems": 1, "items": _TEXT_SCHEMA},
        ]
    },
)

WHO: dict[str, Key] = {
    "phase": Key(PHASE, "The phase whose run judges the gate."),
    "category": Key(TEXT, "A word to group gates by in reports."),
    "owner": Key(TEXT, "Who is asked when the gate is red."),
    "remedy": Key(TEXT, "Where to read what to do: a path or an address."),
    "timeout_s": Key(TIMEOUT, "Seconds for the whole gate; the policy's gate_timeout_s when left out."),
}
"""Also at the top of the file, for all gates that do not say it themselves."""

COMMAND_ENVIRONMENT: dict[str, Key] = {
    "folder": Key(TEXT, "Where the command runs, below the project's root."),
    "env_from": Key(
        VARIABLES,
        "Variables of this environment that the command may see beside PATH, HOME, LANG and TMPDIR.",
    ),
    "env_targets": Key(ENV_TARGETS, "Variables that hold the base URL of a target of the environment."),
}
"""Also at the top of the file, for all commands."""

COMMAND: dict[str, Key] = {
    **COMMAND_ENVIRONMENT,
    "env": Key(ENV, "Variables for the command."),
    "exit_codes": Key(EXIT_CODES, "Exit codes that count as an answer when exit_code itself is not measured; [0] when left out."),
    "leaves_processes": Key(BOOL, "true: the command may leave processes running behind it."),
    "max_output_bytes": Key(OUTPUT_BYTES, "Largest output; more is an error, never cut silently."),
}  # fmt: skip

TOP: dict[str, Key] = {**WHO, **COMMAND_ENVIRONMENT}
GATE: dict[str, Key] = {
    "id": Key(ID, "The name that the policy gives the gate; unique in the project.", 'e.g. id = "db.migration"'),
    "title": Key(TEXT, "One line for people."),
    **WHO,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ProbeKind:
    """One way to read something: its key, what goes with it, and what can be measured from it."""

    key: Key
    options: Mapping[str, Key] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    """What can be measured without an argument, and its unit."""
    takes: tuple[str, ...] = ()
    """What takes an argument."""
    streams: bool = False


_COMMAND_WORDS = {"exit_code": "1", "duration": "s", "stdout": "1", "stderr": "1", "lines": "1"}
_COMMAND_TAKES = ("figure", "text", "count", "json", "items")
_TARGET = Key(TEXT, "The target of the environment that is read; app when left out.")
_RETRIES = Key(RETRIES, "How often a request that got no answer is repeated.")

KINDS: dict[str, ProbeKind] = {
    "command": ProbeKind(
        Key(ARGUMENTS, "A command and its arguments; no shell.", 'e.g. ["git", "status"]; a line for a shell is shell = "…"'),
        COMMAND, _COMMAND_WORDS, _COMMAND_TAKES, streams=True,
    ),
    "shell": ProbeKind(
        Key(TEXT, "Lines for bash, run with -euo pipefail."),
        COMMAND, _COMMAND_WORDS, _COMMAND_TAKES, streams=True,
    ),
    "url": ProbeKind(
        Key(TEXT, "A path below a target, or the full URL of one."),
        {
            "target": _TARGET,
            "method": Key(METHOD, "GET when left out."),
            "headers": Key(HEADERS, "Header fields of the request."),
            "headers_from": Key(HEADERS_FROM, "Header fields whose value is an environment variable."),
            "retries": _RETRIES,
            "follow": Key(BOOL, "true: follow redirects within the target; else a redirect is the answer."),
        },
        {"status": "1", "latency": "s", "body": "1", "size": "B"},
        ("figure", "text", "count", "json", "items", "metric", "header"),
    ),
    "readyz": ProbeKind(
        Key(TEXT, "The path of a readiness endpoint below a target."),
        {"target": _TARGET, "retries": _RETRIES},
        {"status": "1", "failing_checks": "1", "latency": "s", "http_status": "1"},
        ("check",),
    ),
    "scan": ProbeKind(
        Key(TEXT_OR_TEXTS, "Files and folders to look through, below the project's root."),
        {
            "files": Key(TEXTS, "Which files: *.py anywhere, src/*.py there, ** across folders; all when left out."),
            "exclude": Key(TEXTS, "Files and folders to leave out, written in the same way."),
        },
        {"files": "1"},
        ("count",),
    ),
}  # fmt: skip

TAKES: dict[str, Key] = {
    "of": Key(TEXT, "What is measured, by its word."),
    "figure": Key(TEXT, "A regular expression whose one group takes the number."),
    "text": Key(TEXT, "A regular expression whose one group takes the text."),
    "count": Key(TEXT, "A regular expression; measured is how often it matches."),
    "json": Key(TEXT, "The path of a number or text in a JSON document, e.g. $.checks[0].value"),
    "items": Key(TEXT, "The path of a list or object in a JSON document; measured is its number of items."),
    "metric": Key(TEXT, "The name of the one series in a Prometheus exposition."),
    "header": Key(TEXT, "The name of a header field of the answer."),
    "check": Key(TEXT, "The name of one sub-check."),
}

LIMITS: dict[str, Key] = {
    "at_least": Key(NUMBER, "A limit for a quick local gate; the policy's wins."),
    "at_most": Key(NUMBER, "A limit for a quick local gate; the policy's wins."),
    "between": Key(RANGE, "A limit for a quick local gate; the policy's wins."),
    "equals": Key(BOUND, "A limit for a quick local gate; the policy's wins."),
    "one_of": Key(CHOICE, "A limit for a quick local gate; the policy's wins."),
}

_SAMPLES_SCHEMA: dict[str, Any] = {"type": "object"}

MEASURE: dict[str, Key] = {
    "in": Key(STREAM, "Which output is looked at; stdout when left out."),
    "labels": Key(LABELS, "Labels of the series; as many as leave one."),
    "unit": Key(UNIT, "Compared letter for letter with the limit's; 1 when left out."),
    "samples": Key(
        Shape("a table such as { figure = 'n=(\\d+)' }", lambda v: isinstance(v, dict), _SAMPLES_SCHEMA),
        "Where the number of observations is taken from.",
    ),
    "information": Key(BOOL, "true: recorded to be read; needs no limit."),
    **LIMITS,
}
"""What may stand beside a take."""

LIMIT_WORDS = tuple(LIMITS)
SAMPLE_TAKES = ("of", "figure", "count", "json", "items")
FIXED_UNITS = {"duration": "s", "latency": "s", "size": "B"}
