"""The order of the test files that several processes share: pytest's option `--no-loadscope-reorder` keeps it.

Otherwise, files with the fewest tests come last. Some of these take longest, so the processor would be idle for the
last minute.
"""

# The slowest test files that wait for servers to start, to die or to lose a lease, slowest first.
LONGEST = (
    "generated_clients", "workers", "orders", "kills", "leaders", "killed_quick_calls", "killed_polls", "restored",
    "slow_clients", "stopped_agents", "cut_links", "killed_agents", "killed_schedules", "killed_rotations",
    "killed_hooks", "stops", "machines", "quick_calls", "model", "clocks", "two_machines", "rolling_restarts",
    "flow_timeouts_and_kills",
)  # fmt: skip
WAITING = ("faults", "clients")  # the folders of such files


def pytest_collection_modifyitems(config, items):
    """Run tests that need the processor beside tests that wait for servers, from beginning to end."""
    if hasattr(config, "workerinput"):
        files = {}
        for item in items:
            files.setdefault(item.path, []).append(item)
        items[:] = [item for path in ordered(files) for item in files[path]]


def ordered(files):
    """Return the paths of `files` (tests by path), with files that compute among those that wait for servers.

    Each kind begins with its slowest files. With files of one kind only, the order does not change.
    """
    waiting = [path for path in files if path.parent.name in WAITING]
    computing = [path for path in files if path.parent.name not in WAITING]
    if not waiting or not computing:
        return list(files)
    computing.sort(key=lambda path: -len(files[path]))
    waiting.sort(key=lambda path: LONGEST.index(name) if (name := path.stem[5:]) in LONGEST else len(LONGEST))
    places = [((at + 0.5) / len(kind), path) for kind in (waiting, computing) for at, path in enumerate(kind)]
    return [path for _, path in sorted(places, key=lambda place: place[0])]
