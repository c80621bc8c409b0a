"""Each benchmark, run with tiny parameters: it must still work and print the JSON that it promises."""

import json
import re
import shutil
import subprocess
import sys
from argparse import Namespace
from collections import Counter
from pathlib import Path

import pytest
from children import child

from tools.benchmarks.recovery import Seen, Trial
from tools.benchmarks.scale_servers import find_missing

ROOT = Path(__file__).parent.parent
SECONDS = 180  # for a benchmark, on a busy machine
LINUX = pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="memory is read from /proc")


def run(script, *arguments):
    """Return the output of the benchmark. If it takes too long, it is asked to end, with all that it has started."""
    command = [sys.executable, f"tools/benchmarks/{script}.py", *arguments]
    with child(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            output, _ = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            process.terminate()
            process.communicate(timeout=SECONDS)
            raise
        assert process.returncode == 0, f"{script} ended with code {process.returncode}"
    return output


def document(script, *arguments):
    """Return the JSON document of the benchmark, which is its only output; checks the common parts."""
    found = json.loads(run(script, *arguments, "--json"))
    assert found["benchmark"] == script
    assert found["machine"].keys() == {"date", "python", "system", "processor", "cores"}
    assert all(isinstance(target["met"], bool) and "value" in target for target in found["targets"].values())
    return found


def test_the_engine_is_measured_for_every_chain_and_size():
    found = document("engine", "--sizes", "5,1000", "--repeat", "1")
    measured = {(result["chain"], result["nodes"]) for result in found["results"]}
    assert measured == {(chain, size) for chain in ("noop", "set", "if") for size in (5, 1000)}
    keys = {"chain", "nodes", "plan_us", "run_us", "plain_us", "ratio"}
    assert all(result.keys() == keys for result in found["results"])
    assert found["targets"].keys() == {"run_us_1000", "growth"}


def test_tables_are_printed_before_the_json():
    printed = run("engine", "--sizes", "5", "--repeat", "1")
    tables, brace, rest = printed.partition("\n{")
    assert tables.startswith("| chain")
    assert json.loads(brace + rest)["benchmark"] == "engine"


def test_the_parts_of_a_webhook_are_measured():
    found = document("path", "--calls", "8", "--repeat", "1")
    assert len(found["results"]) == 14
    assert all(result["us"] > 0 for result in found["results"])


@pytest.mark.slow
@LINUX
def test_the_start_is_measured_on_an_empty_and_an_existing_folder():
    found = document("startup", "--repeat", "1", "--settle", "0.1", "--workers", "1")
    assert found["start"].keys() == {"empty_s", "existing_s"}
    assert found["start"]["empty_s"].keys() == {"median", "min", "max"}
    assert found["memory"].keys() == {"processes", "pss_mib", "rss_mib", "peak_rss_mib"}
    assert found["memory"]["processes"] >= 2
    assert 0 < found["memory"]["pss_mib"] < found["memory"]["rss_mib"]
    assert found["targets"].keys() == {"cold_start_empty_s", "cold_start_existing_s", "idle_pss_mib"}


@pytest.mark.slow
@LINUX
def test_requests_are_measured_without_an_error_or_a_lost_run():
    found = document("requests", "--seconds", "0.2", "--rounds", "1", "--concurrency", "1,32", "--workers", "1")
    measured = {(result["target"], result["concurrency"]) for result in found["results"]}
    assert measured == {(target, number) for target in ("echo", "run", "health", "list") for number in (1, 32)}
    keys = {"target", "concurrency", "rate", "p50_ms", "p99_ms", "cpu_ms", "ratio_to_echo", "answers", "errors"}
    assert all(result.keys() == keys and result["answers"] for result in found["results"])
    assert found["targets"]["errors"]["met"]
    assert found["targets"]["runs_lost"]["met"]
    assert found["targets"].keys() == {"errors", "runs_lost", "peak_rss_mib"}


@pytest.mark.nightly
@pytest.mark.slow
@LINUX
def test_webhooks_are_measured_and_every_call_is_found_in_the_database():
    arguments = ("--seconds", "0.2", "--rounds", "1", "--concurrency", "2,32", "--workers", "1", "--client", "python")
    found = document("webhook", *arguments)
    measured = {(result["target"], result["concurrency"]) for result in found["results"]}
    assert measured == {(name, number) for name in ("echo", "node", "last", "immediately") for number in (2, 32)}
    keys = {"target", "concurrency", "rate", "p50_ms", "p99_ms", "cpu_ms", "ratio_to_echo", "ended_s"}
    keys |= {"answers", "errors", "turned_away", "lost", "extra", "incomplete"}
    assert all(result.keys() == keys and result["answers"] for result in found["results"])
    counted = {"errors", "calls_turned_away", "runs_lost", "runs_without_an_answer", "runs_not_whole"}
    assert all(found["targets"][name]["value"] == 0 for name in counted)
    speed = {"requests_per_second", "p99_ms", "ratio_to_echo", "peak_rss_mib"}
    assert found["targets"].keys() == counted | speed


@pytest.mark.nightly
@pytest.mark.slow
@LINUX
def test_peers_are_measured_in_rounds_and_missing_ones_are_named(tmp_path):
    arguments = ("--seconds", "0.2", "--rounds", "2", "--warm-up", "0", "--concurrency", "1,32", "--workers", "1")
    absent = ("--client", "python", "--node-red", str(tmp_path / "none"))
    absent += ("--with-n8n", str(tmp_path / "none"))
    found = document("peers", *arguments, *absent, "--starts", "0", "--against", str(ROOT))
    names = {"echo", "webhook", "run", "before: echo", "before: webhook", "before: run"}
    assert {(result["target"], result["concurrency"]) for result in found["results"]} == {
        (name, number) for name in names for number in (1, 32)
    }
    for result in found["results"]:
        assert result["answers"] == sum(single["answers"] for single in result["rounds"]) > 0
        assert len(result["rounds"]) == 2 and result["p99_ms"] >= result["p50_ms"] > 0
    assert found["skipped"].keys() == {"node-red", "n8n"}
    assert all("--install" in why or "no node" in why for why in found["skipped"].values())
    counted = {"errors", "turned_away", "lost", "extra", "incomplete"}
    assert all(found["targets"][name]["value"] == 0 for name in counted)
    speed = {"webhook_32_to_echo", "webhook_32_p99_to_echo", "webhook_1_to_echo", "run_32_to_echo", "webhook_32_p99_ms"}
    assert found["targets"].keys() == counted | speed


@pytest.mark.nightly
@pytest.mark.slow
@LINUX
def test_the_memory_of_a_server_alone_is_measured_when_idle_under_load_and_over_minutes(tmp_path):
    arguments = ("--rounds", "0", "--starts", "1", "--settle", "0.1", "--load-seconds", "0.6", "--flat", "0.03")
    absent = ("--client", "python", "--node-red", str(tmp_path / "none"))
    found = document("peers", *arguments, *absent, "--pace", "50", "--workers", "1")
    assert [one["peer"] for one in found["alone"]] == ["echo", "headrace"]
    for one in found["alone"]:
        assert 0 < one["idle_pss_mib"] <= one["idle_rss_mib"] and 0 < one["load_pss_mib"] <= one["load_rss_mib"]
        assert one["start_empty_s"] > 0 < one["start_again_s"] and one["rate"] > 0
    steady = found["flat"]
    assert 10 < steady["answers"] <= 0.03 * 60 * 50 + 32 and steady["max_pss_mib"] > 0
    assert len(steady["samples"]) >= 3
    nothing = ("alone_wrong", "flat_errors", "flat_lost", "flat_extra", "flat_incomplete")
    assert all(found["targets"][name]["value"] == 0 for name in nothing)


@pytest.mark.nightly
@pytest.mark.slow
@LINUX
def test_the_output_of_wrk_is_parsed_if_it_is_installed():
    if shutil.which("wrk") is None:
        pytest.skip("wrk is not installed")
    arguments = ("--seconds", "1", "--rounds", "1", "--concurrency", "4", "--respond", "node", "--client", "wrk")
    found = document("webhook", *arguments)
    assert found["client"] == "wrk"
    assert all(result["answers"] and result["p99_ms"] >= result["p50_ms"] > 0 for result in found["results"])
    assert all(found["targets"][name]["met"] for name in ("errors", "runs_lost", "runs_without_an_answer"))


@pytest.mark.nightly
@pytest.mark.slow
@LINUX
def test_runs_of_killed_processes_all_end_once():
    found = document("recovery", "--runs", "9", "--threads", "2", "--lease", "3")
    assert [result["scenario"] for result in found["results"]] == ["server", "worker"]
    for result in found["results"]:
        runs = {way["way"]: way["runs"] for way in result["ways"]}
        assert (runs["thread"], runs["wait"]) == (2, 3)
        assert runs["node"] == result["in_doubt"] == {"server": 4, "worker": 2}[result["scenario"]]
        assert 0 < result["first_s"] < result["ended_s"]
        assert (result["lost"], result["doubled"]) == (0, 0)
    assert {"runs_lost", "doubled", "server_health_s", "worker_slowest_s"} <= found["targets"].keys()


def test_repeated_and_missing_requests_count_as_errors():
    trial = Trial(Namespace(), Path(), None)
    trial.accepted = ["run_a", "run_b", "run_c"]
    trial.before = {
        "run_a": Seen("run_a", "pending", None, 0, None),
        "run_b": Seen("run_b", "running", None, 1, None),
        "run_c": Seen("run_c", "pending", "a time", 1, None),
    }
    after = {id_: Seen(id_, "success", None, claims, 1) for id_, claims in (("run_a", 1), ("run_b", 2), ("run_c", 2))}

    def counted(**times):
        seen = Counter({f"run_{name}:0".replace("__", ":"): count for name, count in times.items()})
        return sum(trial._is_lost(after[id_], seen) for id_ in trial.accepted), trial._doubled(after, seen)

    right = {"a__held": 1, "b__held": 2, "c__before": 1, "c__after": 1}
    assert counted(**right) == (0, 0)
    assert counted(**right | {"a__held": 2}) == (0, 1)
    assert counted(**right | {"b__held": 3}) == (0, 1)
    assert counted(**right | {"c__after": 2, "x__held": 1}) == (0, 2)
    assert counted(**right | {"c__after": 0}) == (1, 0)


@pytest.mark.slow
def test_schedules_of_the_same_instant_are_measured_and_none_is_lost():
    found = document("schedules", "--schedules", "20", "--lead", "2", "--workers", "2")
    result = found["result"]
    assert 0 < result["fired_s"] <= result["ended_s"]
    assert (result["early"], result["twice"], result["missed"], result["not_success"]) == (0, 0, 0, 0)
    assert found["targets"].keys() == {"fired_s", "twice", "missed", "early"}


@pytest.mark.slow
def test_a_history_is_created_and_every_request_about_it_succeeds():
    found = document("history", "--runs", "1500", "--steps", "150", "--repeat", "2")
    assert {"runs": 1500, "steps": 500, "workspaces": 5, "workflows": 220}.items() <= found["contents"].items()
    keys = {"question", "median_ms", "p99_ms", "first_ms", "items", "bytes"}
    assert len(found["results"]) > 30 and all(result.keys() == keys for result in found["results"])
    assert found["writes"].keys() == {"runs", "group", "statements_us", "commit_us", "pages"}
    assert found["targets"]["runs_not_counted"]["met"]


def test_a_kept_history_is_reused(tmp_path):
    arguments = ("--runs", "300", "--steps", "100", "--repeat", "1", "--data", str(tmp_path / "kept"))
    first, second = document("history", *arguments), document("history", *arguments)
    assert first["fill_seconds"] > 0 == second["fill_seconds"]
    assert second["contents"]["runs"] == first["contents"]["runs"] + first["writes"]["runs"]
    assert second["targets"]["runs_not_counted"]["met"]


@pytest.mark.nightly
@pytest.mark.slow
@LINUX
def test_runs_on_postgres_and_through_workers_are_measured_and_each_is_recorded_once():
    pytest.importorskip("celery")
    if missing := find_missing():
        pytest.skip(f"this machine has no {missing}")
    load = ("--seconds", "0.2", "--rounds", "1", "--connections", "4", "--client", "python")
    found = document("scale", *load, "--workers", "1", "--threads", "2")
    assert [one["target"] for one in found["webhook"]] == ["SQLite", "PostgreSQL, 1 web", "PostgreSQL, 2 web"]
    crews = [one["target"] for one in found["workers"]]
    assert crews == ["SQLite", "PostgreSQL, no worker", "PostgreSQL, 1 worker"]
    for one in found["webhook"] + found["workers"]:
        assert one["answers"] and one["rate"] > 0 and one["cpu_ms"]["web"] >= 0
        on_postgres = one["target"] != "SQLite"
        assert (one["wal"] is None, one["commits"] is None) == (not on_postgres,) * 2
        assert not on_postgres or (one["wal"] > 100 and one["cpu_ms"]["postgres"] > 0)
    # The backlog is executed in groups, but a run needs more than its acceptance.
    by_worker = found["workers"][-1]
    assert by_worker["commits"] > 0.1 < by_worker["accepted"]["commits"]
    assert by_worker["cpu_ms"]["workers"] > 0 < by_worker["cpu_ms"]["broker"]
    assert all(one["stream"]["delay_p99_ms"] >= one["stream"]["delay_p50_ms"] > 0 for one in found["workers"])
    counted = ("errors", "turned_away", "lost", "extra", "incomplete", "effects_repeated_or_missing")
    assert {name: found["targets"][name]["value"] for name in counted} == dict.fromkeys(counted, 0)


@pytest.mark.parametrize("text_bytes", [0, 3_000])
def test_growth_is_measured_at_every_size(text_bytes):
    arguments = ("--sizes", "40,120", "--groups", "5", "--group", "4", "--bytes", str(text_bytes))
    found = document("growth", *arguments)
    assert [result["runs"] for result in found["results"]] == [40, 120]
    keys = {"runs", "statements_us", "commit_us", "checkpoints_us", "run_us", "bytes_a_run"}
    keys |= {"commit_p50_ms", "commit_p99_ms", "commit_max_ms"}
    assert all(result.keys() == keys and result["run_us"] > 0 for result in found["results"])
    assert all(result["bytes_a_run"] > 2 * text_bytes for result in found["results"])
    assert len(found["targets"]) == 1


def test_every_benchmark_is_described():
    page = (ROOT / "docs/performance.md").read_text(encoding="utf-8")
    described = set(re.findall(r"^python tools/benchmarks/(\w+)\.py", page, re.M))
    runnable = {
        path.stem for path in (ROOT / "tools" / "benchmarks").glob("*.py") if "def main(" in path.read_text("utf-8")
    }
    assert described == runnable
