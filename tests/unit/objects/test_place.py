"""How a store is named."""

from __future__ import annotations

import pytest

from pytest_cutover.errors import ConfigError
from pytest_cutover.objects.folder import FolderObjects
from pytest_cutover.objects.place import open_objects


class TestOpenObjects:
    def test_a_path_is_a_folder(self, tmp_path):
        found = open_objects(str(tmp_path / "new"))

        assert isinstance(found, FolderObjects)
        assert found.where == str(tmp_path / "new")
        assert not (tmp_path / "new").exists()

    @pytest.mark.parametrize("text", ["", " ", "a\0b", "ftp://host/x"])
    def test_what_is_no_place_is_said(self, text):
        with pytest.raises(ConfigError, match="expected the path of a folder"):
            open_objects(text)

    def test_a_file_is_no_folder(self, tmp_path):
        (tmp_path / "a").write_text("")

        with pytest.raises(ConfigError, match=r"expected a folder, .*a is a file"):
            open_objects(str(tmp_path / "a"))
