"""A client that retries until it gets an answer, because the server may be killed at any time."""

import http.client
import json

from servers import PATIENCE

TRIES = 500


def insist(servers, method, path, body, done, headers=None, number=0, tries=TRIES):
    """Send a request to these servers in turn, starting at `number`, until a status is in `done`; retry after 503.

    `body(attempt)` is the body. Return the status, the JSON and the number of attempts. If `tries` is 1 and there is
    no answer, the status and the JSON are None.
    """
    for attempt in range(tries):
        server = answering(servers, number + attempt)
        try:
            status, answer = server.request(method, path, body(attempt), headers)
        except (OSError, http.client.HTTPException, json.JSONDecodeError):
            continue
        if status in done:
            return status, answer, attempt + 1
        assert status == 503, f"{method} {path}: {status} {answer}"
    assert tries == 1, f"{method} {path}: no answer in {tries} tries"
    return None, None, tries


def answering(servers, number):
    """Return one of the running servers. If none is running, wait for the first one."""
    found = [server for server in servers if server.answering.is_set()]
    if found:
        return found[number % len(found)]
    assert servers[0].answering.wait(PATIENCE), "no server came back"
    return servers[0]
