import math
import re
from decimal import Decimal

import pytest

from pytest_cutover.sources.exposition import one, parse

TEXT = r"""# HELP http_requests_total The total number of HTTP requests.
# TYPE http_requests_total counter
http_requests_total{method="post",code="200"} 1027 1395066363000
http_requests_total{method="post",code="400"}    3 1395066363000

# Escaping in label values:
msdos_file_access_time_seconds{path="C:\\DIR\\FILE.TXT",error="Cannot find file:\n\"FILE.TXT\""} 1.458255915e9

# Minimalistic line:
metric_without_timestamp_and_labels 12.47

# A weird metric from before the epoch:
something_weird{problem="division by zero"} +Inf -3982045

http_request_duration_seconds_bucket{le="0.05"} 24054
http_request_duration_seconds_bucket{le="+Inf"} 144320
rpc_duration_seconds{quantile="0.01",} NaN
"""
"""The example of Prometheus' own format page (text 0.0.4), with a trailing comma and NaN added."""


class TestParse:
    def test_reads_the_example_of_the_specification(self):
        samples = parse(TEXT)

        assert [s.name for s in samples[:2]] == ["http_requests_total"] * 2
        assert samples[0].value == Decimal(1027)
        assert samples[2].labels == {"path": r"C:\DIR\FILE.TXT", "error": 'Cannot find file:\n"FILE.TXT"'}
        assert samples[2].value == Decimal("1458255915")
        assert samples[4].value == math.inf
        assert math.isnan(samples[7].value)

    def test_finite_values_are_exact(self):
        assert parse("x 0.1")[0].value + parse("x 0.2")[0].value == Decimal("0.3")

    def test_nan_stays_a_float(self):
        """The engine refuses it; a Decimal NaN could slip through a comparison."""
        assert isinstance(parse("x NaN")[0].value, float)

    def test_reads_over_an_exemplar(self):
        assert parse('x_bucket{le="1"} 4 # {trace_id="a} 9"} 0.67 1.5')[0].value == Decimal(4)

    def test_reads_a_quoted_name(self):
        sample = parse('{"my.name", "my.label"="v"} 1')[0]

        assert (sample.name, sample.labels) == ("my.name", {"my.label": "v"})

    def test_carriage_returns_do_not_matter(self):
        assert parse("x 1\r\ny 2\r\n")[1].value == 2

    @pytest.mark.parametrize(
        "line",
        [
            "<html>",
            "x",
            "x one",
            "x 1 2 3",
            "x 1_000",
            "x 0x10",
            "x1.5",
            "x \u0661",
            'x{a="1" b="2"} 1',
            'x{a="1"',
            "x{a=1} 1",
            'x{a="1",a="2"} 1',
            'x{"a"="1","b"} 1 2 3',
            "{} 1",
            '{a="1"} 1',
            "1x 1",
            "x " + "9" * 100,
            "x 1e999999",
        ],
    )
    def test_refuses_a_malformed_line_and_names_it(self, line):
        with pytest.raises(ValueError, match="line 2: "):
            parse(f"good 1\n{line}\n")

    def test_refuses_a_series_that_occurs_twice(self):
        with pytest.raises(ValueError, match=r"line 2: series x.* occurs twice"):
            parse('x{a="1",b="2"} 1\nx{b="2",a="1"} 2')


class TestOne:
    SAMPLES = parse('x{a="1",b="1"} 1\nx{a="1",b="2"} 2\ny 3')

    def test_finds_by_some_labels(self):
        assert one(self.SAMPLES, "x", {"b": "2"}).value == 2

    def test_several_series_are_an_error(self):
        with pytest.raises(ValueError, match=re.escape('found 2: x{a="1",b="1"}; x')):
            one(self.SAMPLES, "x", {"a": "1"})

    def test_no_series_is_an_error(self):
        with pytest.raises(ValueError, match=re.escape('expected one series z{a="1"}, found none')):
            one(self.SAMPLES, "z", {"a": "1"})

    def test_a_name_is_not_a_prefix(self):
        with pytest.raises(ValueError, match="found none"):
            one(parse("requests_total_created 1"), "requests_total", {})
