"""Answers from a page of questions and answers."""

from __future__ import annotations

import re
from pathlib import Path

WORD = re.compile(r"[a-z]{3,}")


class Knowledge:
    def __init__(self, sections: dict[str, str]) -> None:
        self._sections = sections

    @classmethod
    def load(cls, file: Path) -> Knowledge:
        """Reads a Markdown page: each `## heading` is a question, the text below it the answer."""
        sections: dict[str, str] = {}
        for block in file.read_text(encoding="utf-8").split("\n## ")[1:]:
            heading, _, body = block.partition("\n")
            sections[heading.strip()] = " ".join(body.split())
        return cls(sections)

    def answer(self, message: str) -> str | None:
        """The answer whose question shares the most words with a message; None when none does."""
        words = set(WORD.findall(message.lower()))

        def shared(heading: str) -> int:
            return len(words & set(WORD.findall(heading.lower())))

        best = max(self._sections, key=shared, default=None)
        return self._sections[best] if best is not None and shared(best) > 0 else None
