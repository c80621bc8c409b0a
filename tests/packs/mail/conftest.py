"""A mail server with scripted answers."""

import contextlib
import socket
import threading

import pytest


@pytest.fixture
def script():
    """`script({b"EHLO": b"250 x\\r\\n"})` starts a server with an answer for each verb and returns its port.

    `b""` stands for the greeting, `*` for any other verb, `.` for the end of a message. None closes the connection. An
    answer that is a list is sent repeatedly, until the client closes the connection. `script.heard` has the received
    lines.
    """
    listener, over = socket.create_server(("127.0.0.1", 0)), threading.Event()

    def converse(answers):
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as lines:
            say(connection, answers.get(b"", b"220 hello\r\n"))
            for line in lines:
                start.heard.append(line.strip())
                # An empty line must not be taken for the greeting: the random bytes of a handshake can contain one.
                verb = (line.split() or [b"\n"])[0].upper()
                answer = answers.get(verb, answers.get(b"*", b"250 fine\r\n"))
                say(connection, answer)
                if verb == b"DATA" and answer == b"354 go\r\n":
                    next(line for line in lines if line == b".\r\n")
                    say(connection, answers.get(b".", b"250 taken\r\n"))

    def say(connection, answer):
        if answer is None:
            connection.shutdown(socket.SHUT_RDWR)
        elif isinstance(answer, bytes):
            connection.sendall(answer)
        else:
            while not over.wait(0.01):
                connection.sendall(answer[0])

    def run(answers):
        with contextlib.suppress(OSError):
            converse(answers)

    def start(answers):
        threads.append(threading.Thread(target=run, args=(answers,)))
        threads[-1].start()
        return listener.getsockname()[1]

    threads, start.heard = [], []
    yield start
    over.set()
    listener.shutdown(socket.SHUT_RDWR)  # ends `accept`
    listener.close()
    for thread in threads:
        thread.join(60)
