"""Support bot: answers questions of customers, looks orders up, and hands over to a person when it cannot help.

`app` is the entry point named in karta.toml: `app(message, session)` answers one message. Only the standard library is
used. `python app.py` opens a small chat on the terminal.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

from agents.router import Router
from agents.triage import Triage
from tools.escalate import Escalations
from tools.knowledge import Knowledge
from tools.orders import Orders

ROOT = Path(__file__).resolve().parent


@dataclass
class Session:
    """What is remembered between two messages of one customer."""

    customer: str = "guest"
    turns: list[tuple[str, str]] = field(default_factory=list)


class App:
    """The bot: a triage agent decides what a message is about, a router lets the right tool answer it."""

    def __init__(self, root: Path = ROOT) -> None:
        knowledge = Knowledge.load(root / "context" / "faq.md")
        orders = Orders.load(root / "context" / "orders.json")
        escalations = Escalations(os.environ.get("SUPPORT_INBOX", "support@example.com"))
        self._triage = Triage.load(root / "agents" / "triage.json")
        self._router = Router(knowledge=knowledge, orders=orders, escalations=escalations)

    def __call__(self, message: str, session: Session | None = None) -> str:
        session = session or Session()
        topic = self._triage.topic_of(message)
        answer = self._router.answer(topic, message, customer=session.customer)
        session.turns.append((message, answer))
        return answer


app = App()


def main() -> int:
    session = Session(customer=os.environ.get("USER", "guest"))
    print("Support bot. Ask about orders, refunds or shipping; an empty line ends the chat.")
    for line in sys.stdin:
        message = line.strip()
        if not message:
            break
        print(app(message, session))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
