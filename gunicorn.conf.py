"""How gunicorn serves Headrace. All numbers come from config.py; what happens in a worker, from the app.

The app is made once, in the master, before the fork: migrations run once and the workers share its memory. So nothing
that `create_app` makes may hold a thread, a lock or an open database; those begin with `start()`, in the worker.
"""

import ctypes
import gc
import queue
import resource
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path

# A folder in which gunicorn is started may hold a config.py of its own.
sys.path.insert(0, str(Path(__file__).parent))

from config import Config  # noqa: E402
from startup_message import Welcome  # noqa: E402


def _open_files(wanted):
    """Raise the limit of open files to this number if the system lets us, and return what it is then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == resource.RLIM_INFINITY else soft


def _return_large_blocks():
    """Have the C library give memory blocks over 1 MB back to the system once they are free.

    By default glibc keeps them, for each thread anew: 19 MB for every thread that has checked a password.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 1024**2)


M_MMAP_THRESHOLD = -3  # in glibc's malloc.h

_config = Config.from_env()
_welcome = []  # the one of this start, once it has begun

wsgi_app = "workflow_server:create_app(tell=False)"
bind = f"[{_config.host}]:{_config.port}" if ":" in _config.host else f"{_config.host}:{_config.port}"
worker_class = "net.http_worker.HttpWorker"
workers = _config.workers
threads = _config.threads
preload_app = True

# Each connection is an open file, and half of the files are for other uses. Further connections wait in the kernel.
worker_connections = min(1000, _open_files(4000) // 2)
backlog = 2048
limit_request_line = 4094
limit_request_fields = 100
limit_request_field_size = 8190

timeout = 120
keepalive = 5
# Runs have the grace time from SIGTERM on, and who waits for one is answered then; the rest is for handing back.
graceful_timeout = _config.grace + 5

# The heartbeat file of a worker must not wait for a disk.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None
# It would start a thread in the master, and threads do not survive a fork.
control_socket_disable = True
# Which X-Forwarded-* headers to believe is decided in one place, the app, by HEADRACE_TRUSTED_PROXIES.
forwarded_allow_ips = ""


def on_starting(server):
    _welcome[:] = [Welcome(_config, server.cfg.workers, server.app.wsgi().extensions["headrace"].first_login)]


def when_ready(server):
    # What is frozen is never written to by the collector, so its pages stay shared with the workers.
    gc.collect()
    gc.freeze()


def post_worker_init(worker):
    # A request makes many objects and no cycles: to look for those every 700 objects costs a twentieth of its time.
    gc.set_threshold(50_000, 20, 50)
    _return_large_blocks()
    worker.max_body = _config.max_body_bytes
    server = worker.app.wsgi().extensions["headrace"]
    server.start()
    worker.shortcut = server.shortcut
    # A signal's handler may not wait for a lock, and of all queues only this one takes none: a thread does the rest.
    stopped = queue.SimpleQueue()

    def close():
        stopped.get()
        server.dispatcher.close()
        # The worker waits for its connections first. Where a client is never done with one, it is killed while it
        # waits, and that must be no death to the runs.
        server.dispatcher.wait_for_the_grace_time()
        server.stop()

    def stop(number, frame):
        stopped.put(number)
        worker.handle_exit(number, frame)

    threading.Thread(target=close, name="close", daemon=True).start()
    signal.signal(signal.SIGTERM, stop)
    signal.siginterrupt(signal.SIGTERM, False)
    for welcome in _welcome:
        welcome.worker_is_ready()


def worker_exit(server, worker):
    if worker.booted:
        worker.app.wsgi().extensions["headrace"].stop()
