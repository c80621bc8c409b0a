"""The command `worker`, and settings with which processes of a server cannot work together."""

import pytest
from command_line import refused

import cli
from worker import find_lanes


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEADRACE_DATA_DIR", str(tmp_path / "data"))


@pytest.mark.parametrize("words", [["worker"], []])
def test_a_broker_with_an_sqlite_file_is_refused_at_the_start(words, monkeypatch):
    monkeypatch.setenv("CELERY_BROKER_URL", "amqp://ada:hidden@127.0.0.1")
    told = refused(*words)
    assert "CELERY_BROKER_URL" in told and "DATABASE_URL" in told and "hidden" not in told


@pytest.mark.parametrize("url", ["kafka://broker", "amqp://", "127.0.0.1:5672", "redis:///0"])
def test_an_address_that_is_not_of_a_broker_is_refused(url, monkeypatch):
    monkeypatch.setenv("CELERY_BROKER_URL", url)
    assert "CELERY_BROKER_URL has a wrong value" in refused("worker")


def test_an_unknown_queue_is_refused_with_the_names_of_all():
    told = refused("worker", "--queues", "headrace.runs,fast")
    assert "'fast'" in told and "headrace.runs, headrace.slow" in told


@pytest.mark.parametrize(
    ("names", "lanes"),
    [
        (None, ("runs", "slow")),
        ("headrace.slow", ("slow",)),
        ("headrace.slow, headrace.runs", ("runs", "slow")),
    ],
)
def test_queues_are_chosen_by_their_names(names, lanes):
    assert find_lanes(names) == lanes


def test_the_command_tells_the_server_its_options():
    given = []
    cli.main(["worker", "--concurrency", "3"], obj=lambda *args: given.append(args), standalone_mode=False)
    assert given == [(("runs", "slow"), 3)]
