"""How much a property is tested: with the examples that the test names, and with a fifth of them in `make test`."""

from datetime import date

from hypothesis import HealthCheck, settings

# An example may take long on a busy machine.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
settings.register_profile("full", PATIENT)
settings.register_profile("quick", PATIENT, max_examples=20)  # relative to 100, the default of hypothesis
settings.load_profile("full")


def examples(count):
    """Return `count`, reduced as the profile reduces 100: `@settings(max_examples=examples(300))`."""
    return max(1, count * settings.default.max_examples // 100)


def tries_all():
    """Return True if the profile tries all examples."""
    return settings.default.max_examples >= 100


def sample(items):
    """Return the items of a long list that are tested today: all, or as much of them as the profile has of examples.

    Every item's day comes, and a test that failed and is repeated has the same items.
    """
    step = 100 // settings.default.max_examples
    return items if len(items) < 2 * step else items[date.today().toordinal() % step :: step]
