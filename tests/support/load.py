"""Clients that start runs while the server may crash, and store the responses."""

import http.client
import queue
import threading
from collections import defaultdict

from servers import PATIENCE

CLIENTS = 4


class Load:
    """Each number that `start` hands out is the input `{"n": number}` of one run; every other one has a key.

    `told` maps a number to the run ids in the responses to it. An unanswered request with a key is sent again, to any
    server, until it is answered. One without a key is `lost`: its run may exist. `refused` requests got 503: they have
    not started a run. `errors` are unexpected responses.
    """

    def __init__(self, flow, *servers):
        self.flow, self.servers = flow, servers
        self.told = defaultdict(set)
        self.lost, self.refused, self.errors = set(), set(), []
        self.last = 0
        self._left = queue.SimpleQueue()
        self._open = 0
        self._changed = threading.Condition()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def start(self, count):
        """Start `count` more runs."""
        with self._changed:
            self._open += count
        for _ in range(count):
            self.last += 1
            self._left.put(self.last)

    def is_over(self):
        """Return True if every number is answered, lost or refused."""
        with self._changed:
            return self._open == 0

    def join(self):
        """Wait until every number is answered, lost or refused."""
        with self._changed:
            done = self._changed.wait_for(lambda: self._open == 0, PATIENCE)
        assert done, f"{self._open} requests have no answer"
        assert not self.errors, self.errors[:5]

    def close(self):
        for _ in self._threads:
            self._left.put(None)

    @staticmethod
    def key(number):
        """Return the Idempotency-Key of a number; None if it has none."""
        return f"key-{number}" if number % 2 else None

    def _work(self):
        while (number := self._left.get()) is not None:
            try:
                self._insist(number)
            except Exception as error:
                self.errors.append(f"{number}: {error!r}")
            with self._changed:
                self._open -= 1
                self._changed.notify_all()

    def _insist(self, number):
        key, attempt = self.key(number), 0
        while True:
            server = self._choose(number + attempt)
            attempt += 1
            try:
                status, body = server.request(
                    "POST",
                    f"/api/workflows/{self.flow}/run?wait=0",
                    {"input": {"n": number}},
                    {"Idempotency-Key": key} if key else {},
                )
            except (OSError, http.client.HTTPException):
                if key is None:
                    self.lost.add(number)
                    return
                continue
            if status in (200, 202):
                self.told[number].add(body["id"])
                return
            if status != 503:
                self.errors.append(f"{number}: {status} {body}")
                return
            if key is None:
                self.refused.add(number)
                return

    def _choose(self, number):
        """Return a server that answers; if none does, wait for the first one."""
        answering = [server for server in self.servers if server.answering.is_set()]
        if answering:
            return answering[number % len(answering)]
        assert self.servers[0].answering.wait(PATIENCE), "no server came back"
        return self.servers[0]
