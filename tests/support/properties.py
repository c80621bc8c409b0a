"""How much a property is tested: with the examples that the test names, and with a fifth of them in `make test`.

With the same fifth, other ones each day, tests are chosen that need not run each day.
"""

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


def pytest_collection_modifyitems(config, items):
    """Leave four fifths of the tests marked `turns`, and of the cases of a test, to other days.

    Cases are left out on PostgreSQL alone: all of them run on SQLite, and most differ little to a database.
    """
    step = 100 // settings.default.max_examples
    groups = {}
    for item in items if step > 1 else ():
        if group := _group(item):
            groups.setdefault(group, []).append(item)
    left = {item for group in groups.values() if len(group) >= step for item in group} - {
        item for group in groups.values() for item in group[date.today().toordinal() % step :: step]
    }
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]


def _group(item):
    """Return the file or the test whose tests or cases take turns, or None if `item` runs each day."""
    if item.get_closest_marker("turns"):
        return item.path
    from chosen_engine import ON_POSTGRES  # here, since it imports modules whose import test_patterns watches

    if ON_POSTGRES and "/tests/database/" not in item.path.as_posix() and hasattr(item, "callspec"):
        return item.path, item.originalname
    return None
