# SPDX-License-Identifier: Apache-2.0
"""Waiting for a condition, with a deadline and a word for what is awaited."""

import time


class TimedOut(AssertionError):
    pass


def until(condition, what, timeout_s=20.0, every_s=0.005):
    """What `condition()` answers as soon as it is true. `what` may be a
    function, called for the message when the deadline has passed."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            text = what() if callable(what) else what
            raise TimedOut(f'not within {timeout_s:g} s: {text}')
        time.sleep(every_s)
