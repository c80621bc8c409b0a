"""How many examples a property is tried with: as many as its test says, and a fifth of them in `make test`."""

from hypothesis import HealthCheck, settings

# A busy machine may take long for an example.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
settings.register_profile("full", PATIENT)
settings.register_profile("quick", PATIENT, max_examples=20)  # of 100, hypothesis's own number
settings.load_profile("full")


def examples(count):
    """Return `count`, reduced as the profile reduces 100: `@settings(max_examples=examples(300))`."""
    return max(1, count * settings.default.max_examples // 100)
