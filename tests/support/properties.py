"""The number of examples of a property test: the number in the test, and a fifth of it in `make test`."""

from hypothesis import HealthCheck, settings

# An example may take long on a busy machine.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
settings.register_profile("full", PATIENT)
settings.register_profile("quick", PATIENT, max_examples=20)  # relative to 100, the default of hypothesis
settings.load_profile("full")


def examples(count):
    """Return `count`, reduced as the profile reduces 100: `@settings(max_examples=examples(300))`."""
    return max(1, count * settings.default.max_examples // 100)
