"""Answers to forms while servers are killed: each that was said to be sent has one run, and its files."""

import http.client
import json
import re
from concurrent.futures import ThreadPoolExecutor
from html import unescape

import pytest
from form_pages import make_definition
from record import ask, left_on_disk, settled
from servers import TRIES, answering

pytestmark = [pytest.mark.slow, pytest.mark.soak, pytest.mark.postgres]

SENDERS, ANSWERS = 4, 24
FIELDS = [
    {"kind": "number", "name": "n", "title": "Number", "required": True},
    {"kind": "file", "name": "cv", "title": "CV", "required": True},
]
STATE = re.compile(r'name="_state" value="([^"]+)"')
BOUNDARY = "a-boundary-of-parts"


def make_body(state, number):
    """Return the form as a browser sends it, with a file."""
    texts = {"_state": state, "_page": "0", "_website": "", "_go": "send", "n": str(number)}
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{text}\r\n' for key, text in texts.items()
    ]
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="cv"; filename="cv-{number}.txt"\r\n\r\n'
    return f"{''.join(parts)}{head}{str(number) * 5_000}\r\n--{BOUNDARY}--\r\n"


def exchange(server, method, path, body, number):
    """Return status, headers and text of a response."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    try:
        # Each from an address of its own: one address may send a limited number of pages.
        headers = {"X-Forwarded-For": f"203.0.113.{number}"}
        kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"} if body else {}
        connection.request(method, path, body, headers | kind)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read().decode()
    finally:
        connection.close()


def insist(server, method, path, body=None, number=0):
    """Send it until there is an answer other than 503."""
    for _ in range(TRIES):
        try:
            status, headers, text = exchange(answering([server], 0), method, path, body, number)
        except (OSError, http.client.HTTPException):
            continue
        if status != 503:
            return status, headers, text
    raise AssertionError("no answer")


def send(server, number):
    """Open the form, and send it twice, as after a lost answer. Return the run of both."""
    _, _, page = insist(server, "GET", "/forms/contact")
    body = make_body(unescape(STATE.search(page)[1]), number)
    found = set()
    for _ in range(2):
        status, headers, text = insist(server, "POST", "/forms/contact", body, number)
        assert status == 303, (number, status, re.sub(r"<style>.*</style>|<[^>]*>", " ", text, flags=re.DOTALL)[-800:])
        found.add(re.search(r"run=(run_\w+)", headers["Location"])[1])
    return number, found


def test_a_form_that_was_sent_has_one_run_and_its_files_when_servers_are_killed(tmp_path, serve, seeded, rounds):
    server = serve(HEADRACE_TRUSTED_PROXIES="1")
    server.call(
        "POST",
        "/api/flows",
        {"name": "Form", "status": "active", "definition": make_definition(fields=FIELDS, rate_limit=100_000)},
    )
    told, last = {}, 0
    for _ in rounds(1):
        with ThreadPoolExecutor(SENDERS) as pool:
            calls = [pool.submit(send, server, last + number) for number in range(ANSWERS)]
            last += ANSWERS
            for kill in (lambda: server.kill_worker(seeded.choice(server.workers())), server.kill):
                calls[seeded.randrange(len(calls) // 2)].exception(timeout=60)
                kill()
            left_on_disk(server.database, tmp_path)
            server.start()
            told |= dict(call.result() for call in calls)
    settled(server.database)
    runs = ask(server.database, "SELECT id, input, status FROM runs")
    by_number = {json.loads(run.input)["n"]: run for run in runs}
    assert len(runs) == len(by_number) == len(told) == last, "one run for each answer"
    assert {number: found for number, found in told.items() if found != {by_number[number].id}} == {}
    root = server.data_dir / "files"
    for number, run in by_number.items():
        file = json.loads(run.input)["cv"]
        (path,) = root.glob(f"*/{file['path']}")
        assert path.read_text() == str(number) * 5_000 and f"forms/{run.id}/" in file["path"]
