"""Looks up orders."""

from __future__ import annotations

import json
import re
from pathlib import Path

ORDER_NUMBER = re.compile(r"\bA-\d{4}\b", re.IGNORECASE)


class Orders:
    def __init__(self, orders: dict[str, dict[str, str]]) -> None:
        self._orders = orders

    @classmethod
    def load(cls, file: Path) -> Orders:
        return cls(json.loads(file.read_text(encoding="utf-8")))

    def find(self, message: str) -> str | None:
        """The state of the order that a message names, or None when it names none."""
        match = ORDER_NUMBER.search(message)
        if match is None:
            return None
        number = match.group().upper()
        order = self._orders.get(number)
        if order is None:
            return f"There is no order {number}. Please check the number in your confirmation."
        return f"Order {number} ({order['item']}) is {order['state']}; expected {order['expected']}."
