"""A real SSH server for tests, on a free port, with its event loop in a separate thread."""

import asyncio
import threading


class SshServer:
    """Serves logins of `login` (a class of asyncssh) with these host keys; a subclass handles commands in `handle`."""

    encoding = "utf-8"

    def __init__(self, login, host_keys):
        self.login, self.host_keys = login, host_keys
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.acceptor = self.do(self.listen())
        self.port = self.acceptor.get_port()

    def do(self, work):
        """Run a coroutine on the server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    async def listen(self):
        import asyncssh

        keys = {"server_host_keys": self.host_keys, "server_factory": self.login}
        return await asyncssh.listen("127.0.0.1", 0, process_factory=self.handle, encoding=self.encoding, **keys)

    async def handle(self, process):
        raise NotImplementedError

    def stop(self):
        self.acceptor.close()
        self.do(self.acceptor.wait_closed())
        self.do(self.cancel())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(60)
        self.loop.close()

    async def cancel(self):
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
