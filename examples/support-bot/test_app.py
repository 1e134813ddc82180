"""`python -m unittest` runs these."""

import unittest

from app import App, Session


class SupportBot(unittest.TestCase):
    def setUp(self) -> None:
        self.app = App()

    def test_finds_an_order_by_its_number(self) -> None:
        self.assertIn("on its way", self.app("Where is my order a-1001?"))

    def test_answers_from_the_faq(self) -> None:
        self.assertIn("30 days", self.app("How do I get a refund for a broken lamp?"))

    def test_hands_over_to_a_person(self) -> None:
        self.assertIn("case 1", self.app("I want to talk to a human", Session(customer="kim")))


if __name__ == "__main__":
    unittest.main()
