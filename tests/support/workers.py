"""Worker processes: they execute runs, and answer no requests."""

import os

from servers import Server


class Worker(Server):
    """A worker process. It answers no requests, so its output says that it is ready."""

    def __init__(self, data_dir, concurrency=4, **settings):
        super().__init__(data_dir, ("workflow_server.py", "worker", "--concurrency", str(concurrency)), **settings)

    def _is_up(self):
        assert self._process.poll() is None, f"the worker ended: {''.join(self.lines)}"
        return any("This worker executes" in line for line in list(self.lines))

    def start(self):
        self.lines.clear()
        return super().start()

    def signal(self, number):
        """Send a signal to the process, such as SIGSTOP to make it silent."""
        os.kill(self.master, number)

    def stop(self):
        """Send SIGTERM and return the exit code."""
        self.terminate()
        return self.ended()
