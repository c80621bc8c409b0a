"""docs/writing-a-node.md works: its files are written and its commands executed, with a real server."""

import re
from pathlib import Path

import pytest
from doc_pages import blocks_of, paste, write_files
from sites import Site

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "writing-a-node.md").read_text(encoding="utf-8")
BLOCKS = blocks_of("writing-a-node.md")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with `headrace`, where the commands are executed, and `own-nodes` with all files of the page."""
    place = tmp_path_factory.mktemp("page")
    write_files(BLOCKS, place)
    return place


@pytest.fixture(scope="module")
def desk():
    """The help desk service of the page."""
    with Site("127.0.0.1") as server:
        server.expect_request("/tickets", method="POST").respond_with_json({"number": 7})
        yield server


@pytest.fixture(scope="module")
def pasted(place, desk):
    """The output of all commands of the page, in order."""
    service = [("https://desk.example", desk.url_for("").rstrip("/")), ("desk.example", "127.0.0.1")]
    return paste(BLOCKS, place, service, HEADRACE_EGRESS_ALLOW="127.0.0.1")


def test_every_block_is_a_whole_file_or_a_command():
    assert {language for language, _ in BLOCKS} == {"python", "sh"}
    assert len(BLOCKS) == PAGE.count("```") / 2
    files = [text.splitlines()[0] for language, text in BLOCKS if language == "python"]
    assert all(re.fullmatch(r"# own-nodes/(tests/test_)?\w+\.py", line) for line in files)


@pytest.mark.slow
def test_every_command_does_what_the_page_says(pasted):
    assert '"error"' not in pasted.stdout
    assert (
        '{\n  "country": "GB",\n  "iban": "GB82 WEST 1234 5698 7654 32"\n}' in pasted.stdout
    )  # `run` without a server
    assert '"type":"acme_iban"' in pasted.stdout and '"own":true' in pasted.stdout and '"broken":[]' in pasted.stdout
    assert '"output":{"country":"GB","iban":"GB82 WEST 1234 5698 7654 32"}' in pasted.stdout


@pytest.mark.slow
def test_the_node_that_calls_a_service_uses_its_credential_without_recording_it(pasted, desk, place):
    assert '"output":{"number":7}' in pasted.stdout
    (request, _) = desk.log[0]
    assert request.json == {"subject": "Ada cannot log in"}
    assert request.headers["Authorization"] == "Bearer open-sesame-12345"
    assert re.fullmatch(r"run_\w+:tell:0", request.headers["Idempotency-Key"])
    database = place / "headrace" / "data" / "headrace.sqlite3"
    kept = [path.read_bytes() for path in database.parent.glob("headrace.sqlite3*")]
    assert kept and not any(b"open-sesame" in data for data in kept)


@pytest.mark.slow
def test_the_tests_of_the_page_pass(pasted):
    assert re.search(r"= 13 passed in", pasted.stdout), pasted.stdout
