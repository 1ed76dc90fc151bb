"""How often a property is tried: 2 000 cases, or 100 000 under CUTOVER_SOAK=1, each made from its number alone.

A number seeds a generator, and everything in a case comes out of that: a thousand cases cost a second, no two are
seeded alike, and a failure names the number that makes it again (`CUTOVER_CASE=number`). Hypothesis draws where
shrinking helps: texts, bytes and JSON (`drawn`).

`CUTOVER_SOAK=2` tries the next 100 000, and so on.
"""

from __future__ import annotations

import itertools
import os
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ROUND = int(os.environ.get("CUTOVER_SOAK") or 0)
SOAK = ROUND > 0
CASES = 100_000 if SOAK else 2_000
BLOCKS = 20 if SOAK else 1
"""Tests that the cases of one property are divided into, so that no core waits for another."""

PER_BLOCK = CASES // BLOCKS
_APART = 1_000_000
"""Between the first numbers of two blocks: more than a block can use up."""

_UNSUITABLE_AT_MOST = 10  # for each case; more would mean that the property is about something else
_ONLY = os.environ.get("CUTOVER_CASE")


class UnsuitableError(Exception):
    """This case has nothing that the property is about. It does not count: another one is made."""


def assume(condition: object) -> None:
    """Let only cases through for which this holds.

    Raises:
        UnsuitableError: it does not.
    """
    if not condition:
        raise UnsuitableError


class Choices(Random):
    """The choices of one case."""

    def subset(self, count: int) -> set[int]:
        """Which of `count` things to take: one, some, or all. One alone is what hides best, so half the time."""
        if count and self.random() < 0.5:
            return {self.randrange(count)}
        mask = self.randint(1, 2**count - 1) if count else 0
        return {i for i in range(count) if mask >> i & 1}

    def one_of(self, things: Sequence[Any]) -> Any:
        """One of the things.

        Raises:
            UnsuitableError: there is none.
        """
        assume(things)
        return self.choice(things)


def _numbers(block: int) -> Iterator[int]:
    if _ONLY is not None:
        return iter([int(_ONLY)])
    first = (ROUND * BLOCKS + block) * _APART
    return iter(range(first, first + PER_BLOCK * _UNSUITABLE_AT_MOST))


def cases(*makers: Callable[[Choices], Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A test that tries the method with every case: what the makers make, and the choices it has left to make."""

    def decorate(claim: Callable[..., None]) -> Callable[..., None]:
        @pytest.mark.parametrize("block", range(BLOCKS))
        def test(self: object, block: int) -> None:
            tried = sum(itertools.islice(_tried(self, block), PER_BLOCK))
            assert tried == (PER_BLOCK if _ONLY is None else 1), (
                "too few cases are what the property is about"
            )

        def _tried(self: object, block: int) -> Iterator[int]:
            for number in _numbers(block):
                choices = Choices(number)
                try:
                    claim(self, *(make(choices) for make in makers), choices)
                except UnsuitableError:
                    continue
                except Exception as exc:
                    exc.add_note(
                        f"to try it again: CUTOVER_CASE={number} pytest tests/properties -k {claim.__name__}"
                    )
                    raise
                yield 1

        test.__name__, test.__doc__, test.__module__ = claim.__name__, claim.__doc__, claim.__module__
        return test

    return decorate


def drawn() -> settings:
    """Settings of a property whose cases Hypothesis draws."""
    return settings(
        max_examples=CASES,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],  # explaining takes minutes
    )
