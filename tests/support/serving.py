"""A real server with the built app."""

from contextlib import contextmanager

from servers import Server


@contextmanager
def serving(data_dir, **settings):
    """Start a server with an owner on this folder; test files with other settings have their own fixture `server`."""
    server = Server(data_dir, **{"WEB_CONCURRENCY": 1, **settings})
    try:
        server.start()
        server.log_in()
        yield server
    finally:
        server.close()
