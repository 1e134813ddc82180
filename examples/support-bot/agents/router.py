"""Lets the tool that fits a topic answer."""

from __future__ import annotations

from tools.escalate import Escalations
from tools.knowledge import Knowledge
from tools.orders import Orders


class Router:
    def __init__(self, *, knowledge: Knowledge, orders: Orders, escalations: Escalations) -> None:
        self._knowledge = knowledge
        self._orders = orders
        self._escalations = escalations

    def answer(self, topic: str, message: str, *, customer: str) -> str:
        if topic == "person":
            return self._escalations.open(customer, message)
        found = self._orders.find(message)
        if found is not None:
            return found
        if topic == "order":
            return "Which order is it? Its number looks like A-1001."
        return self._knowledge.answer(message) or self._escalations.open(customer, message)
