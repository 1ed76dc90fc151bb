import threading

import pytest

from pytest_cutover.service.orders import OrderStore, parse_order


@pytest.fixture
def store(tmp_path):
    opened = OrderStore(tmp_path / "orders.sqlite3")
    yield opened
    opened.close()


class TestOrderStore:
    def test_finds_what_was_added(self, store):
        order = store.add("tea", 2)

        assert store.find(order.id) == order
        assert store.find(order.id + 1) is None

    def test_keeps_orders_over_a_restart(self, store, tmp_path):
        order = store.add("tea", 2)
        again = OrderStore(tmp_path / "orders.sqlite3")

        assert again.find(order.id) == order
        again.close()

    def test_threads_get_numbers_of_their_own(self, store):
        numbers = []
        threads = [threading.Thread(target=lambda: numbers.append(store.add("x", 1).id)) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert sorted(numbers) == list(range(1, 21))


class TestParseOrder:
    def test_a_good_one(self):
        assert parse_order({"item": "tea", "quantity": 2}) == ("tea", 2)

    @pytest.mark.parametrize(
        "document",
        [
            None,
            [],
            {},
            {"item": "tea"},
            {"item": "tea", "quantity": 1, "x": 1},
            {"item": "", "quantity": 1},
            {"item": "x" * 101, "quantity": 1},
            {"item": 5, "quantity": 1},
            {"item": "tea", "quantity": 0},
            {"item": "tea", "quantity": True},
            {"item": "tea", "quantity": "1"},
            {"item": "tea", "quantity": 10**9},
        ],
    )
    def test_all_others_are_refused(self, document):
        with pytest.raises(ValueError, match="expected"):
            parse_order(document)
