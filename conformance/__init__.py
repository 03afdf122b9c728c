"""The conformance suite: every test states one clause of a manual page, every clause has one test."""
