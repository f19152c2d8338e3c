"""Assertions about commands that are refused."""


def assert_refused(outcome, *words):
    """Assert that a command ended with exit code 2 and one line on stderr, which has the words."""
    assert outcome.code == 2
    line = outcome.err.strip()
    assert "\n" not in line
    assert all(word in line for word in words), line
