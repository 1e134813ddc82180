"""Decides what a message is about, by the words in it."""

from __future__ import annotations

import json
from pathlib import Path


class Triage:
    def __init__(self, topics: dict[str, list[str]], fallback: str) -> None:
        self._topics = topics
        self._fallback = fallback

    @classmethod
    def load(cls, file: Path) -> Triage:
        config = json.loads(file.read_text(encoding="utf-8"))
        return cls(config["topics"], config["fallback"])

    def topic_of(self, message: str) -> str:
        """The topic with the most matching words; a wish for a person beats everything else."""
        text = message.lower()
        scores = {topic: sum(word in text for word in words) for topic, words in self._topics.items()}
        if scores.get("person"):
            return "person"
        best = max(scores, key=lambda topic: scores[topic], default=self._fallback)
        return best if scores.get(best) else self._fallback
