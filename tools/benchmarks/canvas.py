"""Smoothness of the editor: frames per second while a node of a large flow is dragged, beside React Flow alone.

    python tools/benchmarks/canvas.py [--rounds 3] [--frames 120] [--json]

Both show 300 nodes in rows of 20, all of them in view, in the same Chromium, in turns; React Flow alone is `web/bench`,
built here. Chromium renders without a graphics card, so the ratio of the two counts more than either number. Needs
Chromium, Node.js and the built app (`make web`).
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import http.server
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

# As a script, this folder is first in the path, and its files would hide modules of the same name.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.append(str(Path(__file__).resolve().parents[2] / "tests" / "support"))

import chromium
from servers import serving
from world import flow, node

from tools.benchmarks import common

NODES, PER_ROW = 300, 20
TARGET_FPS = 55.0
# Without a graphics card React Flow alone may miss the target, too.
TARGET_RATIO = 0.8
VIEWPORT = {"width": 1280, "height": 800}
RECORD = """() => {
  window.times = [];
  const next = (now) => { window.times.push(now); window.recording = requestAnimationFrame(next); };
  requestAnimationFrame(next);
}"""
STOP = "() => { cancelAnimationFrame(window.recording); return window.times; }"


def large_flow() -> Any:
    """Return a flow of 300 nodes, placed as in web/bench/bare.tsx."""
    nodes = [node("n0", "manual"), *(node(f"n{at}", "set", {"values": {"n": at}}) for at in range(1, NODES))]
    for at, one in enumerate(nodes):
        one["position"] = {"x": 280 * (at % PER_ROW), "y": 100 * (at // PER_ROW)}
    edges = [f"n{at - 1} n{at}" for at in range(1, NODES) if at % PER_ROW]
    return flow(*nodes, edges=edges)


@contextlib.contextmanager
def bare() -> Iterator[str]:
    """Build React Flow alone, and serve it at the address that is returned."""
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder:
        build = ["npx", "vite", "build", "bench", "--config", "bench/vite.config.ts", "--outDir", folder]
        subprocess.run(
            [*build, "--emptyOutDir", "--logLevel", "error"], cwd=common.ROOT / "web", check=True, timeout=120
        )
        handler = functools.partial(Quiet, directory=folder)
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield f"http://127.0.0.1:{server.server_address[1]}/"
            server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Log nothing."""


def drag(page: Any, frames: int) -> float:
    """Drag a node to and fro, a step in each frame; return the frames per second."""
    box = page.locator('.react-flow__node[data-id="n150"]').bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 4
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 5, y + 5)
    page.evaluate(RECORD)
    for at in range(frames):
        away = at % 60 if at % 120 < 60 else 60 - at % 60
        page.mouse.move(x + 5 + 2 * away, y + 5 + away)
        page.evaluate("new Promise(requestAnimationFrame)")
    times = page.evaluate(STOP)
    page.mouse.up()
    return 1000 * (len(times) - 1) / (times[-1] - times[0])


def measure(rounds: int, frames: int) -> dict[str, list[float]]:
    """Return the frames per second of each round, in turns."""
    with (
        tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder,
        serving(Path(folder)) as server,
        bare() as address,
        chromium.launched() as browser,
    ):
        context = browser.new_context(base_url=server.url, viewport=VIEWPORT, reduced_motion="reduce")
        editor, alone = context.new_page(), context.new_page()
        chromium.log_in(editor)
        editor.goto(f"/flows/{server.add_flow(large_flow(), 'Large')}")
        editor.locator(".react-flow__node").first.wait_for()
        editor.get_by_role("button", name="Zoom to fit").click()
        alone.goto(address)
        alone.locator(".react-flow__node").first.wait_for()
        found: dict[str, list[float]] = {"editor": [], "alone": []}
        for _ in range(rounds):
            for name, page in (("editor", editor), ("alone", alone)):
                page.bring_to_front()
                found[name].append(drag(page, frames))
        return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Measure the editor's frames per second beside React Flow alone.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--json", action="store_true", help="print only the JSON document")
    options = parser.parse_args(arguments)
    found = measure(options.rounds, options.frames)
    medians = {name: round(statistics.median(values), 1) for name, values in found.items()}
    ratio = round(medians["editor"] / medians["alone"], 2)
    targets = {
        "frames_per_second": common.target(medians["editor"], TARGET_FPS, at_least=True),
        "of_react_flow_alone": common.target(ratio, TARGET_RATIO, at_least=True),
    }
    rows = [("the editor", medians["editor"]), ("React Flow alone", medians["alone"])]
    tables = [common.table((f"a node of {NODES} is dragged", "frames per second"), rows), common.target_table(targets)]
    rounds = {name: [round(value, 1) for value in values] for name, values in found.items()}
    document = {
        "benchmark": "canvas",
        "machine": common.machine(),
        "nodes": NODES,
        "fps": medians,
        "rounds": rounds,
        "targets": targets,
    }
    common.report(document, tables, options.json)


if __name__ == "__main__":
    main()
