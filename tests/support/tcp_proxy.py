"""A TCP proxy between a client and a server, which loses, delays and cuts what passes."""

import socket
import threading
from contextlib import suppress

CHUNK = 2**16
PATIENCE = 60


class Link:
    """A proxied connection: one thread for each direction."""

    def __init__(self, proxy, client):
        self.proxy, self.client = proxy, client
        self.server = socket.create_connection(proxy.target, timeout=PATIENCE)
        self.is_losing = False  # the next answer is not passed on
        for each in (self.client, self.server):
            each.settimeout(None)
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.threads = [
            threading.Thread(target=self._pass_on, args=arguments, daemon=True)
            for arguments in ((self.client, self.server, True), (self.server, self.client, False))
        ]
        for thread in self.threads:
            thread.start()

    def close(self):
        for each in (self.client, self.server):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _pass_on(self, source, target, to_server):
        try:
            while data := source.recv(CHUNK):
                if self.is_losing and not to_server:
                    self.proxy.note_lost()
                    break
                self.proxy.delay(to_server)
                if to_server and self.proxy.takes(data):
                    if self.proxy.loses_request:
                        self.proxy.note_lost()
                        break
                    self.is_losing = True
                target.sendall(data)
        except OSError:
            pass
        finally:
            self.close()
            self.proxy.forget(self)


class TcpProxy:
    """A proxy on a free port of this machine, for all connections to `target`: `(host, port)`.

    `cut` ends all connections and refuses new ones until `heal`. `freeze` keeps everything back, in both directions or
    in one, until `heal`. `slow` delays each piece. `lose_answer` and `lose_request` cut the connection that sends this
    text next: once the server has answered, or before it is sent; `lost` is set then.
    """

    def __init__(self, target):
        self.target = target
        self.lost = threading.Event()
        self.loses_request = self._cuts_then = False
        self._text, self._times = b"", 0
        self._seconds = 0.0
        self._lock = threading.Lock()
        self._links = set()
        self._is_cut = False
        self._open = {True: threading.Event(), False: threading.Event()}  # by direction: True is to the server
        self._ended = threading.Event()
        self.heal()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def close(self):
        """End the proxy with all of its connections."""
        self._ended.set()
        self.heal()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(PATIENCE)
        self._close_all()

    def cut(self):
        """End all connections, and refuse new ones."""
        with self._lock:
            self._is_cut = True
        self._close_all()

    def freeze(self, to_server=True, to_client=True):
        """Keep back what goes to the server, to the client, or both. Nothing is lost."""
        for is_frozen, direction in ((to_server, True), (to_client, False)):
            if is_frozen:
                self._open[direction].clear()

    def slow(self, seconds):
        """Delay each piece by this time."""
        self._seconds = seconds

    def heal(self):
        """End `cut`, `freeze` and `slow`."""
        with self._lock:
            self._is_cut = False
        self._seconds = 0.0
        for each in self._open.values():
            each.set()

    def lose_answer(self, text, then_cut=False, times=1):
        """Cut the connection that sends this text next, once the server has answered. `then_cut`: cut all then.

        This is done so many `times`.
        """
        self._expect(text, False, then_cut, times)

    def lose_request(self, text, then_cut=False, times=1):
        """Cut the connection that sends this text next, before it is sent. `then_cut`: cut all then."""
        self._expect(text, True, then_cut, times)

    def _expect(self, text, loses_request, then_cut, times):
        with self._lock:
            self.lost.clear()
            self._text, self._times, self.losses = text.encode(), times, 0
            self.loses_request, self._cuts_then = loses_request, then_cut

    # For the links

    def takes(self, data):
        """Return True as many times as expected, if the data has the text that is to be lost."""
        with self._lock:
            if not self._times or self._text not in data:
                return False
            self._times -= 1
            return True

    def note_lost(self):
        """Note that the text, or its answer, was lost; the link is cut next."""
        if self._cuts_then:
            self.cut()
        with self._lock:
            self.losses += 1
        self.lost.set()

    def delay(self, to_server):
        """Wait as long as this direction is delayed or frozen."""
        if self._seconds:
            self._ended.wait(self._seconds)
        self._open[to_server].wait(PATIENCE)

    def forget(self, link):
        with self._lock:
            self._links.discard(link)

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                is_cut = self._is_cut
            try:
                if is_cut:
                    raise ConnectionRefusedError
                link = Link(self, client)
            except OSError:
                client.close()
                continue
            with self._lock:
                self._links.add(link)

    def _close_all(self):
        with self._lock:
            links = list(self._links)
        for link in links:
            link.close()
