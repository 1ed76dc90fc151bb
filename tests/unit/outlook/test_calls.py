"""What the source of a gate says that it will measure."""

from __future__ import annotations

from decimal import Decimal
from textwrap import dedent

import pytest

from pytest_cutover.outlook.calls import Call, calls_in


def read(body: str, *, before: str = "", after: str = ""):
    """What is read of a gate with this body."""
    head = dedent(before).strip()
    source = f"{head}\n@mark\ndef test_it(gate, http):\n" + "".join(
        f"    {line}\n" for line in dedent(body).strip().splitlines()
    )
    return calls_in(source + dedent(after), head.count("\n") + 2)


def only(body: str, **around: str) -> Call:
    found = read(body, **around)
    assert found.unknown == ()
    (call,) = found.calls
    return call


class TestLiteral:
    def test_a_name_alone_is_measured_in_ones_without_samples(self):
        assert only("gate.measure('p95', x)") == Call("p95", 4, "1", False, False)

    def test_unit_samples_information_and_limit_are_read(self):
        call = only("gate.measure('p95', x, unit='s', samples=len(x), at_most=0.5)")

        assert (call.unit, call.samples, call.limits) == ("s", True, (("at_most", 0.5),))
        assert only("gate.measure('p95', x, information=True)").information is True

    def test_a_value_that_is_written_out_is_kept(self):
        assert only("gate.measure('p95', 3)").value == 3
        assert only("gate.measure('p95', value='ready')").value == "ready"
        assert only("gate.measure('p95', x)").value is None

    def test_two_limits_are_both_kept_for_the_engine_to_refuse(self):
        assert [w for w, _ in only("gate.measure('p95', x, at_least=1, at_most=2)").limits] == [
            "at_least",
            "at_most",
        ]

    def test_a_decimal_is_a_literal(self):
        assert only("gate.measure('r', x, at_least=Decimal('0.1'))").limits == (("at_least", Decimal("0.1")),)

    def test_samples_none_are_no_samples(self):
        assert only("gate.measure('p95', x, samples=None)").samples is False

    def test_a_schema_has_its_own_name_and_limit(self):
        assert only("gate.conforms(x, schema)") == Call("schema_errors", 4, limits=(("at_most", 0),))
        assert only("gate.conforms(x, schema, name='drift')").name == "drift"

    def test_a_constant_of_the_module_is_as_good_as_a_literal(self):
        assert only("gate.measure(NAME, x, unit=UNIT)", before="NAME = 'p95'; UNIT = 'ms'").unit == "ms"

    def test_a_loop_over_literals_is_each_of_them(self):
        body = "for name in NAMES:\n    gate.measure(name, x)"

        assert [c.name for c in read(body, before="NAMES = ('a', 'b')").calls] == ["a", "b"]
        assert [c.name for c in read(body, before="NAMES = {'a': 1}").calls] == ["a"]

    def test_two_stars_leave_open_what_is_not_written_out(self):
        call = only("gate.measure('p95', x, unit='s', **more)")

        assert (call.name, call.unit, call.samples, call.information) == ("p95", "s", None, None)
        assert only("gate.measure('p95', x, **more)").unit is None

    def test_an_async_gate_is_read_alike(self):
        source = "async def test_it(gate):\n    gate.measure('a', await x)\n"

        assert calls_in(source, 1).calls[0].name == "a"


class TestFollowed:
    HELPERS = """
        def helper(one, g, *, name="x"):
            g.measure("helped", 1)

        def deeper(gate):
            helper(1, g=gate)
        """

    @pytest.mark.parametrize("call", ["helper(1, gate)", "helper(1, g=gate)", "deeper(gate)"])
    def test_a_helper_of_the_file_is_read(self, call):
        assert only(call, after=self.HELPERS).name == "helped"

    def test_a_helper_that_calls_itself_ends(self):
        found = read("again(gate)", after="\ndef again(gate):\n    again(gate)\n")

        assert found.calls == ()
        assert len(found.unknown) == 1


class TestUnknown:
    @pytest.mark.parametrize(
        ("body", "why"),
        [
            ("gate.measure(check.name, x)", "computed"),
            ("gate.measure(f'{x}_p95', x)", "computed"),
            ("gate.measure(*given)", "written with *"),
            ("measure_all(gate)", "handed on"),
            ("other.measure_all(gate)", "handed on"),
            ("g = gate", "handed on"),
            ("m = gate.measure", "under another name"),
            ("for name in names():\n    gate.measure(name, x)", "computed"),
        ],
    )
    def test_what_is_not_written_there_is_unknown_and_not_guessed(self, body, why):
        found = read(body)

        assert found.calls == ()
        assert [line for line, _ in found.unknown] == [3 + body.count("\n") + 1]
        assert why in found.unknown[0][1]

    def test_a_constant_that_a_function_gives_another_value_is_none(self):
        found = read("NAME = x\ngate.measure(NAME, x)", before="NAME = 'p95'")

        assert found.calls == ()

    def test_the_rest_is_known_all_the_same(self):
        found = read("gate.measure('a', x)\ngate.measure(x, x)")

        assert [c.name for c in found.calls] == ["a"]
        assert len(found.unknown) == 1

    def test_notes_and_attachments_are_no_measurements(self):
        found = read("gate.note('x')\ngate.attach('a', b'')\nprint(gate.info)")

        assert found == type(found)()

    @pytest.mark.parametrize(("source", "line"), [("x = 1\n", 1), ("def broken(:\n", 1), ("\0", 1)])
    def test_no_such_function_is_said(self, source, line):
        assert len(calls_in(source, line).unknown) == 1
