"""The order of the test files that several processes share: pytest's option `--no-loadscope-reorder` keeps it.

Otherwise, files with the fewest tests come last. Some of these take longest, so the processor would be idle for the
last minute.
"""

# The slowest test files that wait for servers to start, to die or to lose a lease, slowest first.
LONGEST = (
    "workers", "orders", "restored", "kills", "leaders", "slow_clients", "stopped_agents", "cut_links",
    "killed_schedules", "killed_rotations", "killed_hooks", "stops", "quick_calls", "model", "clocks", "two_machines",
)  # fmt: skip


def pytest_collection_modifyitems(config, items):
    """Run browser tests, which need the processor, beside tests that wait for servers, from beginning to end."""
    if hasattr(config, "workerinput"):
        files = {}
        for item in items:
            files.setdefault(item.path, []).append(item)
        items[:] = [item for path in ordered(files) for item in files[path]]


def ordered(files):
    """Return the paths of `files`, which has the tests by path: those of browsers are spread evenly among the others.

    Each kind begins with its slowest files. Without browser tests, the order does not change.
    """
    browsers = [path for path in files if path.parent.name == "browser"]
    if not browsers:
        return list(files)
    others = [path for path in files if path.parent.name != "browser"]
    browsers.sort(key=lambda path: -len(files[path]))
    others.sort(key=lambda path: LONGEST.index(name) if (name := path.stem[5:]) in LONGEST else len(LONGEST))
    places = [((at + 0.5) / len(kind), path) for kind in (others, browsers) for at, path in enumerate(kind)]
    return [path for _, path in sorted(places, key=lambda place: place[0])]
