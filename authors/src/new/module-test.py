"""Tests of @PATH@."""

from ldi_test import Case

import @NAME@


class Module(Case):
    def test_greeting(self):
        self.assertEqual(@NAME@.greeting("you"), "hello you")
        self.assertEqual(@NAME@.greeting(), "hello world")
