"""Which version counts, against a model that replays every write in order."""

from __future__ import annotations

import random

import pytest

from pytest_cutover.objects.s3_versions import NOTHING, Version, current, oldest


def version(name, **more):
    return Version(str(name), f"tag-{name}", 1, **more)


class History:
    """Versions of one key, the newest first, and what each of them follows."""

    def __init__(self):
        self.versions = []
        self.metadata = {}

    def add(self, follows):
        new = version(len(self.versions) + 1)
        self.versions.insert(0, new)
        self.metadata[new.id] = follows
        return new

    def current(self):
        return current(self.versions, lambda v: self.metadata[v.id])

    def replayed(self):
        """The model: the first version counts, then whichever followed what counted, in the order of arrival."""
        counts = None
        for v in reversed(self.versions):
            if counts is None or self.metadata[v.id] == counts.id:
                counts = v
        return counts


class TestCurrent:
    def test_nothing_counts_where_nothing_is(self):
        assert History().current() is None

    def test_of_two_first_writes_the_older_counts(self):
        history = History()
        first = history.add(NOTHING)
        history.add(NOTHING)

        assert history.current() == first

    def test_of_two_that_follow_the_same_the_older_counts(self):
        history = History()
        first = history.add(NOTHING)
        second = history.add(first.id)
        history.add(first.id)

        assert history.current() == second
        third = history.add(second.id)
        assert history.current() == third

    def test_a_write_that_arrives_late_changes_nothing(self):
        history = History()
        first = history.add(NOTHING)
        second = history.add(first.id)
        third = history.add(second.id)
        history.add(first.id)

        assert history.current() == third

    def test_what_somebody_else_put_on_top_does_not_count(self):
        history = History()
        first = history.add(NOTHING)
        history.add(None)

        assert history.current() == first

    def test_what_somebody_else_put_there_counts_where_it_is_all(self):
        history = History()
        theirs = history.add(None)

        assert history.current() == theirs

    def test_old_versions_are_not_asked_about(self):
        """A checkpoint that moved a thousand times costs one question."""
        history = History()
        last = history.add(NOTHING)
        for _ in range(1000):
            last = history.add(last.id)
        asked = []
        current(history.versions, lambda v: asked.append(v) or history.metadata[v.id])

        assert asked == [last]

    @pytest.mark.parametrize("seed", range(300))
    def test_every_history_of_writers_that_look_first_is_judged_as_the_model_does(self, seed):
        rng = random.Random(seed)
        history, looks = History(), []
        for _ in range(rng.randint(1, 40)):
            seen = history.current()
            looks.append(NOTHING if seen is None else seen.id)
            if rng.random() < 0.6:  # some write at once, some late, some never, some twice
                history.add(rng.choice(looks[-4:]))
            if rng.random() < 0.1:
                history.add(None)

            assert history.current() == history.replayed()


def test_of_a_key_that_is_written_once_the_oldest_counts():
    """Whatever a later one says that it follows."""
    history = History()
    assert oldest(history.versions) is None
    first = history.add("nobody knows")
    history.add(first.id)
    history.add(NOTHING)

    assert oldest(history.versions) == first
