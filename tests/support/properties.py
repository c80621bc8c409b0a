"""How much a property is tested: with the examples that the test names, and with a fifth of them in `make test`.

What the fifth is follows from the tests alone: the same commit tries the same examples on any day and machine.
`make check EXAMPLES=full` tries all of them, with new examples of hypothesis each time; GitHub does so every night.
"""

from random import Random

from hypothesis import HealthCheck, settings

# An example may take long on a busy machine.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
settings.register_profile("full", PATIENT, derandomize=False)  # by default, hypothesis's choices are fixed in a CI
# 20 is relative to 100, the default of hypothesis. Examples of an earlier run, which a folder keeps, are not tried.
settings.register_profile("quick", PATIENT, max_examples=20, derandomize=True, database=None)
settings.load_profile("full")


def examples(count):
    """Return `count`, reduced as the profile reduces 100: `@settings(max_examples=examples(300))`."""
    return max(1, count * settings.default.max_examples // 100)


def tries_all():
    """Return True if the profile tries all examples."""
    return settings.default.max_examples >= 100


def sample(items):
    """Return the items of a long list that are tested: all, or as much of them as the profile has of examples.

    Of each five neighbours, it is a random one: every fifth would always be of one kind if the kinds follow in turn.
    """
    step = 100 // settings.default.max_examples
    if step == 1 or len(items) < 2 * step:
        return items
    chance = Random(0)
    return [chance.choice(items[begin : begin + step]) for begin in range(0, len(items), step)]


def pytest_collection_modifyitems(config, items):
    """Leave four fifths of the cases of a test on PostgreSQL to EXAMPLES=full.

    All of them run on SQLite, and most differ little to a database.
    """
    cases = {}
    for item in items if not tries_all() else ():
        if _is_case_on_postgres(item):
            cases.setdefault((item.path, item.originalname), []).append(item)
    left = {item for group in cases.values() for item in group} - {
        item for group in cases.values() for item in sample(group)
    }
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]


def _is_case_on_postgres(item):
    from chosen_engine import ON_POSTGRES  # here, since it imports modules whose import test_patterns watches

    return ON_POSTGRES and "/tests/database/" not in item.path.as_posix() and hasattr(item, "callspec")
