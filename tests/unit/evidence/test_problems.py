from __future__ import annotations

import re

import pytest

from pytest_cutover.evidence.problems import EvidenceProblem, ProblemCode
from pytest_cutover.reasons import Reason


class TestProblemCode:
    def test_a_code_finds_its_member(self) -> None:
        assert ProblemCode("report.digest") is ProblemCode.REPORT_DIGEST  # type: ignore[call-arg] # by value
        with pytest.raises(ValueError, match="is not a valid ProblemCode"):
            ProblemCode("report.digset")  # type: ignore[call-arg] # by value

    @pytest.mark.parametrize("code", list(ProblemCode))
    def test_codes_are_words_and_meanings_sentences(self, code: ProblemCode) -> None:
        assert re.fullmatch(r"[a-z]+\.[a-z-]+", code.code)
        assert code.meaning.endswith(".")

    def test_no_code_means_two_things(self) -> None:
        """Neither among themselves nor beside the reasons of a run: one reference page lists both."""
        codes = [c.code for c in ProblemCode]

        assert len(set(codes)) == len(codes)
        assert not set(codes) & {r.code for r in Reason}


class TestEvidenceProblem:
    def test_says_where_only_when_it_is_known(self) -> None:
        assert EvidenceProblem(ProblemCode.REPORT_DIGEST, "text").to_json() == {
            "code": "report.digest",
            "message": "text",
        }
        assert EvidenceProblem(ProblemCode.REPORT_DIGEST, "text", "line 2").to_json()["where"] == "line 2"
