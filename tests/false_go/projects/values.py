"""Values that compare as they please, and measurements that are too old, too new or too few."""

from __future__ import annotations

from tests.false_go.harness import ENDS, Base, Expect, LyingRun, Mode, gate_module, policy, red, unproven
from tests.false_go.projects.bases import ONE, ONE_FILE, SAMPLED, TEXT

INVALID = unproven("measurement.invalid")
KIND = unproven("measurement.kind")
ERROR = unproven("gate.error")
ONCE = "a value is read once, in the gate's process, and is text from then on; `red`, `nan` and others go all the way"
_FAR = ("nan", "infinity", "huge-int", "float-liar", "text-liar", "stale", "samples-low", "unit-other")


def _modes(name: str) -> tuple[Mode, ...]:
    return ENDS if name in _FAR else ENDS[:1]


def _value(
    name: str, why: str, value: str, expect: Expect = INVALID, *, base: Base = ONE, top: str = ""
) -> LyingRun:
    body = f'gate.measure("v", {value})'
    return LyingRun(
        name,
        why,
        base,
        expect,
        files={ONE_FILE: gate_module(body, top=top)},
        modes=_modes(name),
        reduced=ONCE,
    )


def _sampled(name: str, why: str, arguments: str, expect: Expect, top: str = "") -> LyingRun:
    body = f'gate.measure("v", {arguments})'
    return LyingRun(
        name,
        why,
        SAMPLED,
        expect,
        files={
            ONE_FILE: gate_module(
                body, top=top + "\nfrom datetime import UTC, datetime, timedelta, timezone\n"
            )
        },
        modes=_modes(name),
        reduced=ONCE,
    )


def _bounded(name: str, why: str, value: str, limit: dict[str, object], expect: Expect) -> LyingRun:
    run = _value(name, why, value, expect, top="from decimal import Decimal\n")
    changed = policy("one", limits={"one": {"v": limit}})
    return LyingRun(name, why, ONE, expect, files=run.files, policy=changed, modes=_modes(name), reduced=ONCE)


_FLOAT_LIAR = """
class Liar(float):
    def __le__(self, other): return True
    def __lt__(self, other): return True
    def __ge__(self, other): return True
    def __eq__(self, other): return True
    def __hash__(self): return 0
    def __repr__(self): return "0"
    def __str__(self): return "0"
    def __format__(self, spec): return "0"
"""
_INT_LIAR = (
    _FLOAT_LIAR.replace("float", "int")
    + "    def __int__(self): return 0\n    def __index__(self): return 0\n"
)
_DECIMAL_LIAR = "from decimal import Decimal\n" + _FLOAT_LIAR.replace("float", "Decimal")
_STR_LIAR = """
class Liar(str):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return hash("ready")
    def __str__(self): return "ready"
    def __repr__(self): return "ready"
"""
_DUCK = """
class Duck:
    def __float__(self): return 0.0
    def __int__(self): return 0
    def __index__(self): return 0
    def __le__(self, other): return True
"""

LIES = (
    LyingRun("red", "nothing hides it", ONE, red(), files={ONE_FILE: gate_module('gate.measure("v", 5)')}),
    _value("nan", "not NaN > limit", 'float("nan")'),
    _value("nan-max", "max([1, nan]) is 1 or nan, whichever comes first", 'max([float("nan"), 1.0])'),
    _value("infinity", "inf", 'float("inf")'),
    _value("minus-infinity", "-inf is at most everything", 'float("-inf")'),
    _value("decimal-nan", "Decimal('NaN')", 'Decimal("NaN")', top="from decimal import Decimal\n"),
    _value(
        "decimal-snan",
        "Decimal('sNaN') raises when it is compared",
        'Decimal("sNaN")',
        top="from decimal import Decimal\n",
    ),
    _value(
        "decimal-minus-infinity",
        "Decimal('-Infinity')",
        'Decimal("-Infinity")',
        top="from decimal import Decimal\n",
    ),
    _value("huge-int", "a number of 5000 digits, which Python refuses to print", "-(10**5000)"),
    _value(
        "huge-exponent",
        "an exponent no one can subtract",
        'Decimal("-1e999999")',
        top="from decimal import Decimal\n",
    ),
    _value("minus-huge", "a huge negative number of many digits", "-(10**400)"),
    _value("bool-true", "True is at most 1", "True"),
    _value("bool-false", "False is at most 1", "False"),
    _value("none", "None", "None"),
    _value(
        "mock", "a MagicMock has every method", "MagicMock()", top="from unittest.mock import MagicMock\n"
    ),
    _value("list", "a list", "[0]"),
    _value("bytes", "bytes", 'b"0"'),
    _value("complex", "a complex number", "0j"),
    _value("fraction", "a Fraction", "Fraction(1, 2)", top="from fractions import Fraction\n"),
    _value("duck", "something with __float__ and its own idea of <=", "Duck()", top=_DUCK),
    _value(
        "unprintable",
        "a value whose repr raises",
        "Bad()",
        top="class Bad:\n    def __repr__(self): raise OSError\n",
    ),
    _value("string", "the text '0' where the limit is a number", '"0"', KIND),
    _value("string-nan", "the text 'nan'", '"nan"', KIND),
    _value(
        "float-liar",
        "a float that says it is at most everything, as a numpy type might",
        "Liar(5.0)",
        red(),
        top=_FLOAT_LIAR,
    ),
    _value("int-liar", "an int that says it is at most everything", "Liar(5)", red(), top=_INT_LIAR),
    _value(
        "decimal-liar", "a Decimal that says it is at most everything", 'Liar("5")', red(), top=_DECIMAL_LIAR
    ),
    _value("just-beyond", "0.1 + 0.2 + 0.7 is a hair beyond 1", "0.1 + 0.2 + 0.7 + 2e-16", red()),
    _value("text-number", "a number where the limit is a text", "1", KIND, base=TEXT),
    _value("text-case", "READY is not ready", '"READY"', red(), base=TEXT),
    _value("text-blank", "'ready ' is not ready", '"ready "', red(), base=TEXT),
    _value("text-homoglyph", "a Cyrillic letter in ready", '"r\\u0435ady"', red(), base=TEXT),
    _value("text-liar", "a str that equals everything", 'Liar("down")', red(), base=TEXT, top=_STR_LIAR),
    _value("text-none", "None where the limit is a text", "None", INVALID, base=TEXT),
    _value("text-true", "True where the limit is a text", "True", INVALID, base=TEXT),
    _value("text-bytes", "b'ready'", 'b"ready"', INVALID, base=TEXT),
    _bounded("below-at-least", "one millionth below", 'Decimal("0.999999")', {"at_least": 1}, red()),
    _bounded("inf-at-least", "inf is at least everything", 'float("inf")', {"at_least": 1}, INVALID),
    _bounded("nan-between", "NaN between two bounds", 'float("nan")', {"between": [0, 1]}, INVALID),
    _bounded("nan-equals", "NaN equals nothing", 'float("nan")', {"equals": 1}, INVALID),
    _bounded("one-of", "a number that is none of them", "2", {"one_of": [1, 3]}, red()),
    _sampled(
        "unit-other",
        "ms where the limit is in s",
        '0.5, unit="ms", samples=100',
        unproven("measurement.unit"),
    ),
    _sampled(
        "unit-none", "no unit where the limit is in s", "0.5, samples=100", unproven("measurement.unit")
    ),
    _sampled(
        "unit-case", "S where the limit is in s", '0.5, unit="S", samples=100', unproven("measurement.unit")
    ),
    _sampled("samples-none", "no samples named", '0.5, unit="s"', unproven("measurement.samples-missing")),
    _sampled(
        "samples-low", "one sample too few", '0.5, unit="s", samples=99', unproven("measurement.samples-low")
    ),
    _sampled("samples-bool", "True samples", '0.5, unit="s", samples=True', ERROR),
    _sampled("samples-float", "100.0 samples", '0.5, unit="s", samples=100.0', ERROR),
    _sampled("samples-negative", "-100 samples", '0.5, unit="s", samples=-100', ERROR),
    _sampled(
        "stale",
        "observed two minutes ago",
        '0.5, unit="s", samples=100, observed_at=datetime.now(UTC) - timedelta(seconds=120)',
        unproven("measurement.stale"),
    ),
    _sampled(
        "future",
        "observed in a minute",
        '0.5, unit="s", samples=100, observed_at=datetime.now(UTC) + timedelta(seconds=60)',
        unproven("measurement.future"),
    ),
    _sampled(
        "epoch",
        "observed in 1970",
        '0.5, unit="s", samples=100, observed_at=datetime.fromtimestamp(0, UTC)',
        unproven("measurement.stale"),
    ),
    _sampled(
        "naive-time",
        "a time without a zone",
        '0.5, unit="s", samples=100, observed_at=datetime(2030, 1, 1)',
        ERROR,
    ),
    _sampled("time-as-text", "a time as text", '0.5, unit="s", samples=100, observed_at="now"', ERROR),
    _sampled(
        "other-zone",
        "two minutes old, written in another zone",
        '0.5, unit="s", samples=100, observed_at=(datetime.now(UTC) - timedelta(seconds=120)).astimezone(timezone(timedelta(hours=9)))',
        unproven("measurement.stale"),
    ),
    LyingRun(
        "stale-by-the-end",
        "fresh when it was measured, stale when the run was decided",
        SAMPLED,
        unproven("measurement.stale"),
        files={
            ONE_FILE: gate_module('gate.measure("v", 1)'),
            "gates/test_slow.py": "import time\nimport pytest\n\n@pytest.mark.preflight\ndef test_slow():\n    time.sleep(1.2)\n",
        },
        policy=policy("one", limits={"one": {"v": {"at_most": 1, "max_age_s": 1}}}),
        modes=ENDS[:1],
        reduced="only alone do the two tests run one after the other",
    ),
)
