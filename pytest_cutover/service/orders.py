"""Orders on SQLite: the real work behind the application's routes."""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

MAX_QUANTITY = 1_000_000
MAX_ITEM = 100


@dataclass(frozen=True, slots=True)
class Order:
    """One stored order."""

    id: int
    item: str
    quantity: int

    def to_json(self) -> dict[str, Any]:
        return {"id": self.id, "item": self.item, "quantity": self.quantity}


def parse_order(document: Any) -> tuple[str, int]:
    """Item and quantity of a new order.

    Raises:
        ValueError: anything but `{"item": text, "quantity": positive integer}`.
    """
    if not isinstance(document, dict) or set(document) != {"item", "quantity"}:
        raise ValueError("expected an object with item and quantity")
    item, quantity = document["item"], document["quantity"]
    if not isinstance(item, str) or not 0 < len(item) <= MAX_ITEM:
        raise ValueError(f"expected item to be 1 to {MAX_ITEM} characters")
    if isinstance(quantity, bool) or not isinstance(quantity, int) or not 0 < quantity <= MAX_QUANTITY:
        raise ValueError(f"expected quantity to be an integer from 1 to {MAX_QUANTITY}")
    return item, quantity


class OrderStore:
    """Orders in one SQLite file; safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, item TEXT NOT NULL, quantity INTEGER NOT NULL)"
        )

    def add(self, item: str, quantity: int) -> Order:
        """Store a new order and return it with its number."""
        with self._lock:
            row = self._db.execute(
                "INSERT INTO orders (item, quantity) VALUES (?, ?)", (item, quantity)
            ).lastrowid
        return Order(int(row or 0), item, quantity)

    def find(self, number: int) -> Order | None:
        """The order with this number."""
        with self._lock:
            row = self._db.execute("SELECT id, item, quantity FROM orders WHERE id = ?", (number,)).fetchone()
        return None if row is None else Order(*row)

    def close(self) -> None:
        with self._lock:
            self._db.close()
