"""Ports for servers that tests start."""

import random
import socket

# Below those that systems give to outgoing connections, which might take the port of a server that starts again.
PORTS = range(10_240, 32_768)
CHOICE = random.SystemRandom()  # the tests seed the other one


def free_port():
    """Return a port of the loopback on which nothing listens."""
    while True:
        port = CHOICE.choice(PORTS)
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
