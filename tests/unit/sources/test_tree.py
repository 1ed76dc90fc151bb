import os

import pytest

from pytest_cutover.errors import MeasurementError, SourceError
from pytest_cutover.sources.tree import glob_pattern, scan, scan_files


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

    def test_an_unreadable_folder_is_no_zero(self, tmp_path, monkeypatch):
        """os.walk passes over it in silence unless told otherwise."""
        (tmp_path / "a.py").write_text("")
        (tmp_path / "closed").mkdir()
        real = os.scandir

        def refuse(path):
            if str(path).endswith("closed"):
                raise PermissionError(13, "Permission denied", str(path))
            return real(path)

        monkeypatch.setattr(os, "scandir", refuse)
        with pytest.raises(SourceError, match=r"cannot read .*closed: Permission denied"):
            scan(tmp_path, {"x": "XXX"})

    def test_what_version_control_keeps_for_itself_is_not_source(self, tmp_path):
        for folder in (".git", "__pycache__"):
            (tmp_path / folder).mkdir()
            (tmp_path / folder / "a.py").write_text("XXX")
        (tmp_path / "a.py").write_text("")

        assert (reading := scan(tmp_path, {"x": "XXX"})).files == 1
        assert reading.total == 0


class TestGlobs:
    @pytest.mark.parametrize(
        ("glob", "fits", "not_"),
        [
            ("*.py", ["a.py", "x/y/a.py", "x.py/z"], ["a.pyc", "a.py~"]),
            ("src/*.py", ["src/a.py"], ["src/b/a.py", "x/src/a.py"]),
            ("src/**/*.py", ["src/a.py", "src/b/c/a.py"], ["a.py"]),
            ("fixtures/", ["fixtures/a", "tests/fixtures/a/b"], ["fixtures2/a"]),
            ("tests/fixtures/**", ["tests/fixtures/a", "tests/fixtures/a/b"], ["fixtures/a", "tests/a"]),
            ("/docs", ["docs/a"], ["x/docs/a"]),
            ("./docs/*", ["docs/a"], ["x/docs/a"]),
            ("a?.txt", ["ab.txt"], ["a.txt", "a/.txt"]),
            ("[x].txt", ["[x].txt"], ["x.txt"]),
            ("a.b", ["a.b"], ["axb"]),
        ],
    )
    def test_fit_paths_as_people_mean_them(self, glob, fits, not_):
        pattern = glob_pattern(glob)

        assert [p for p in fits if not pattern.fullmatch(p)] == []
        assert [p for p in not_ if pattern.fullmatch(p)] == []


@pytest.fixture
def tree(tmp_path):
    for name in ("src/a.py", "src/deep/b.py", "src/deep/c.rs", "tests/fixtures/d.py", "NEWS.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("XXX\n")
    return tmp_path


class TestScanFiles:
    def scan(self, tree, *roots, **globs):
        return scan_files([tree / r for r in roots], {"x": "XXX"}, base=tree, **globs)

    def test_looks_through_folders_and_files(self, tree):
        reading = self.scan(tree, "src", "NEWS.md")

        assert (reading.total, reading.files) == (4, 4)
        assert reading.places == ("NEWS.md:1", "src/a.py:1", "src/deep/b.py:1", "src/deep/c.rs:1")

    def test_reads_what_is_wanted_and_not_what_is_excluded(self, tree):
        assert self.scan(tree, ".", files=["*.py"]).files == 3
        assert self.scan(tree, ".", files=["*.py"], exclude=["fixtures/"]).files == 2
        assert self.scan(tree, ".", exclude=["src", "*.md"]).places == ("tests/fixtures/d.py:1",)

    def test_a_file_named_twice_counts_once(self, tree):
        assert self.scan(tree, "src", "src/a.py", ".").total == 5

    @pytest.mark.parametrize(
        ("roots", "globs", "message"),
        [
            (["nowhere"], {}, "no file or folder nowhere to look through"),
            (["src", "nowhere"], {}, "no file or folder nowhere"),
            (["src"], {"exclude": ["*"]}, "expected files to look through in src, found none"),
            (["src", "NEWS.md"], {"files": ["*.py"]}, "in NEWS.md, found none"),
            (["src"], {"files": ["*.go"]}, "in src, found none"),
        ],
    )
    def test_nothing_to_read_is_no_zero(self, tree, roots, globs, message):
        with pytest.raises(SourceError, match=message):
            self.scan(tree, *roots, **globs)

    def test_a_link_out_of_the_folder_hides_nothing(self, tree):
        (tree / "src/more").symlink_to(tree / "tests")

        with pytest.raises(SourceError, match="src/more leads to a folder outside of src"):
            self.scan(tree, "src")
        assert self.scan(tree, "src", exclude=["src/more"]).files == 3

    def test_a_link_within_is_read_where_it_leads(self, tree):
        (tree / "src/again").symlink_to(tree / "src/deep")

        assert self.scan(tree, "src").files == 3

    def test_utf16_is_read(self, tree):
        (tree / "src/wide.txt").write_text("XXX", encoding="utf-16")

        assert self.scan(tree, "src/wide.txt").total == 1

    def test_a_dangling_link_is_no_file(self, tree):
        (tree / "src/gone.py").symlink_to(tree / "nowhere.py")

        assert self.scan(tree, "src").files == 3
