"""A real server with the built app."""

from contextlib import contextmanager

from servers import Server


@contextmanager
def serving(data_dir, **settings):
    """Start a server with an owner on this folder; `settings` are environment variables."""
    server = Server(data_dir, **{"WEB_CONCURRENCY": 1, **settings})
    try:
        server.start()
        server.log_in()
        yield server
    finally:
        server.close()
