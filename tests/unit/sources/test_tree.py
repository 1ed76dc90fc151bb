import pytest

from pytest_cutover.errors import MeasurementError, SourceError
from pytest_cutover.sources.tree import scan


class TestScan:
    def test_counts_each_pattern_and_says_where(self, tmp_path):
        (tmp_path / "sub").mkdir()
        (tmp_path / "a.py").write_text("x = 1\n# XXX and XXX\n")
        (tmp_path / "sub" / "b.py").write_text("YYY")
        (tmp_path / "c.txt").write_text("XXX")

        reading = scan(tmp_path, {"x": "XXX", "y": "YYY", "z": "ZZZ"})
        assert reading.counts == {"x": 2, "y": 1, "z": 0}
        assert (reading.total, reading.files) == (3, 2)
        assert reading.places == ("a.py:2", "sub/b.py:1")

    def test_nothing_read_is_no_zero(self, tmp_path):
        with pytest.raises(SourceError, match="found none"):
            scan(tmp_path, {"x": "XXX"})

    def test_a_missing_folder_is_no_zero(self, tmp_path):
        with pytest.raises(SourceError, match="found none"):
            scan(tmp_path / "no", {"x": "XXX"})

    def test_a_file_too_large_is_no_zero(self, tmp_path):
        (tmp_path / "a.py").write_bytes(b"x" * (4 * 1024 * 1024 + 1))
        with pytest.raises(SourceError, match="larger than"):
            scan(tmp_path, {"x": "XXX"})

    def test_bytes_that_are_no_text_hide_nothing(self, tmp_path):
        (tmp_path / "a.py").write_bytes(b"\xff XXX")

        assert scan(tmp_path, {"x": "XXX"}).total == 1

    def test_a_malformed_pattern_is_the_gates_mistake(self, tmp_path):
        (tmp_path / "a.py").write_text("")
        with pytest.raises(MeasurementError, match="not a regular expression"):
            scan(tmp_path, {"x": "("})
