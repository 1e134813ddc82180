"""Hands a conversation over to a person."""

from __future__ import annotations

import itertools


class Escalations:
    def __init__(self, inbox: str) -> None:
        self._inbox = inbox
        self._numbers = itertools.count(1)

    def open(self, customer: str, message: str) -> str:
        number = next(self._numbers)
        return f"I have passed this on to {self._inbox} as case {number}, {customer}. A person will answer you: {message!r}"
