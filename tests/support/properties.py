"""How many examples a property is tried with: as many as its test says, and a fifth of them in `make test`."""

from hypothesis import settings

settings.register_profile("quick", max_examples=20)  # of 100, hypothesis's own number


def examples(count):
    """Return `count`, reduced as the profile reduces 100: `@settings(max_examples=examples(300))`."""
    return max(1, count * settings.default.max_examples // 100)
