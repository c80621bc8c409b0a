"""The cost of a node in the engine alone: chains of pure nodes, planned and run, without database, HTTP and threads.

    python tools/benchmarks/engine.py [--sizes 100,1000,10000] [--repeat 7] [--json]

It is compared with a plain Python loop that calls one function for each node, because microseconds differ between
machines, and the ratio less. Each figure is the best of the repetitions. Planning has new expressions every time, so
that none comes from a cache.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

# As a script, this folder is first in the path, and its files would hide modules of the same name.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import engine
import nodes  # noqa: F401  (fills the registry)
from tools.benchmarks import common

TARGET_US = 60.0
TARGET_SIZES = (1_000, 10_000)
LINEAR = 1.5
UNIQUE = itertools.count(1)


def chain(kind: str, size: int) -> dict[str, Any]:
    """Return a flow of `size` nodes in a row, with unique expressions."""
    make, branch = KINDS[kind]
    made = [{"id": f"n{at}", **make(next(UNIQUE))} for at in range(size)]
    edges = [{"from": f"n{at}", "to": f"n{at + 1}"} | branch for at in range(size - 1)]
    return {"nodes": made, "edges": edges}


def noop(number: int) -> dict[str, Any]:
    return {"type": "noop"}


def set_values(number: int) -> dict[str, Any]:
    return {
        "type": "set",
        "config": {"values": {"n": f"{{{{ input.n + {number % 7} }}}}", "tag": f"{{{{ {number} }}}}"}},
    }


def if_true(number: int) -> dict[str, Any]:
    return {"type": "if", "config": {"condition": f"{{{{ input.n > {-number - 1} }}}}"}}


KINDS: dict[str, tuple[Callable[[int], dict[str, Any]], dict[str, str]]] = {
    "noop": (noop, {}),
    "set": (set_values, {}),
    "if": (if_true, {"branch": "true"}),
}


def plain_loop(size: int) -> None:
    """Do the work of the plain loop: for each node, call a function that makes a new object of the last one."""

    def step(value: dict[str, int]) -> dict[str, int]:
        return {"n": value["n"] + 1}

    value = {"n": 0}
    for function in [step] * size:
        value = function(value)


def seconds(work: Callable[[], Any]) -> float:
    """Return the duration of the call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def run(plan: engine.Plan) -> None:
    """Run the plan, and check that every node was executed."""
    steps = 0

    def count(step: engine.StepRecord) -> None:
        nonlocal steps
        steps += 1

    outcome = engine.run(plan, engine.Job(run_id="run_bench", input={"n": 1}, on_step=count))
    if outcome.status != "success" or steps != len(plan.nodes):
        raise SystemExit(f"the chain did not run: {outcome}")


def measure(kind: str, size: int, repeat: int) -> dict[str, Any]:
    """Return the best times of one chain, in microseconds for each node."""
    planning, running, plain = [], [], []
    for _ in range(repeat):
        definition = chain(kind, size)
        planning.append(seconds(lambda definition=definition: engine.plan(definition)))
        plan = engine.plan(definition)
        running.append(seconds(lambda plan=plan: run(plan)))
        plain.append(seconds(lambda: plain_loop(size)))
    plan_us, run_us, plain_us = (min(times) / size * 1e6 for times in (planning, running, plain))
    return {
        "chain": kind,
        "nodes": size,
        "plan_us": round(plan_us, 2),
        "run_us": round(run_us, 2),
        "plain_us": round(plain_us, 4),
        "ratio": round(run_us / plain_us, 1),
    }


def targets(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the most expensive chain of each size with a target, and the growth of a node's cost with the size."""
    found = {}
    for size in TARGET_SIZES:
        costs = [result["run_us"] for result in results if result["nodes"] == size]
        if costs:
            found[f"run_us_{size}"] = common.target(max(costs), TARGET_US)
    by_chain = {kind: [result["run_us"] for result in results if result["chain"] == kind] for kind in KINDS}
    growth = max(costs[-1] / costs[0] for costs in by_chain.values())
    return found | {"growth": common.target(round(growth, 2), LINEAR)}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Measure the engine alone.")
    parser.add_argument("--sizes", default="100,1000,10000", help="numbers of nodes, ascending")
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="print only the JSON document")
    options = parser.parse_args(arguments)
    sizes = [int(size) for size in options.sizes.split(",")]
    results = [measure(kind, size, options.repeat) for kind in KINDS for size in sizes]
    document = {
        "benchmark": "engine",
        "machine": common.machine(),
        "repeat": options.repeat,
        "results": results,
        "targets": targets(results),
    }
    head = ("chain", "nodes", "planning, µs a node", "running, µs a node", "plain loop, µs", "running / plain loop")
    tables = [
        common.table(head, [list(result.values()) for result in results]),
        common.target_table(document["targets"]),
    ]
    common.report(document, tables, options.json)


if __name__ == "__main__":
    main()
