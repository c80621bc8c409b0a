"""A real server with the built app, for as long as something looks at it."""

from contextlib import contextmanager

from servers import Server


@contextmanager
def serving(data_dir, **settings):
    """A server on this folder, with an owner; files of tests that need other settings have a fixture `server` of it."""
    server = Server(data_dir, **{"WEB_CONCURRENCY": 1, **settings})
    try:
        server.start()
        server.log_in()
        yield server
    finally:
        server.close()
