"""Gunicorn configuration. All numbers come from config/; the app decides which threads run in a worker.

The app is created once, in the master, before the fork: migrations run once and the workers share its memory. So
nothing that `create_app` makes may hold a thread, a lock or an open database; `start()` opens those in the worker.
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

# The folder in which gunicorn is started may have another config.py.
sys.path.insert(0, str(Path(__file__).parent))

import server_log  # noqa: E402
from config import Config  # noqa: E402
from net.http_worker.server_logger import RequestIds  # noqa: E402
from server_log import StartupMessage  # noqa: E402


def _open_files(wanted):
    """Raise the limit of open files to this number if the system allows it. Return the resulting limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == resource.RLIM_INFINITY else soft


M_MMAP_THRESHOLD = -3  # in glibc's malloc.h

_config = Config.from_env()
server_log.install(_config)
_message = []  # of this start, once it has begun

wsgi_app = "workflow_server:create_app(print_login=False)"
bind = f"[{_config.host}]:{_config.port}" if ":" in _config.host else f"{_config.host}:{_config.port}"
worker_class = "net.http_worker.HttpWorker"
workers = _config.workers
threads = _config.threads
preload_app = True

# Each connection is an open file, and half of the files are for other uses. More connections wait in the kernel.
worker_connections = min(1000, _open_files(4000) // 2)
backlog = 2048
limit_request_line = 4094
limit_request_fields = 100
limit_request_field_size = 8190

timeout = 120
keepalive = 5
# Runs have the grace period after SIGTERM, and waiting callers are answered then; 5 s remain to release other runs.
graceful_timeout = _config.grace + 5

logger_class = "net.http_worker.server_logger.ServerLogger"
loglevel = _config.log_level
accesslog = "-" if _config.access_log else None

# The heartbeat file of a worker must not wait for a disk.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None
# A control socket would start a thread in the master, and threads do not survive a fork.
control_socket_disable = True
# The app alone decides which X-Forwarded-* headers to trust, by HEADRACE_TRUSTED_PROXIES.
forwarded_allow_ips = ""


def on_starting(server):
    _message[:] = [StartupMessage(_config, server.cfg.workers, server.app.wsgi().extensions["headrace"].first_login)]


def when_ready(server):
    # The collector never writes to frozen objects, so their memory pages stay shared with the workers.
    gc.collect()
    gc.freeze()


def post_worker_init(worker):
    # Requests make many objects and no cycles: searching for cycles every 700 objects takes a twentieth of their time.
    gc.set_threshold(50_000, 20, 50)
    # Have the C library return free blocks over 1 MB to the system. By default glibc keeps them for each thread: 19 MB
    # for every thread that has checked a password.
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 1024**2)
    worker.max_body = _config.max_body_bytes
    server = worker.app.wsgi().extensions["headrace"]
    server.start()
    worker.shortcut = server.shortcut
    if worker.shortcut is not None:  # as in tools/benchmarks/echo.py
        worker.shortcut.start()
    worker.error_headers = server.error_headers
    worker.on_response = server.requests.count
    if _config.log_format == "json":
        worker.request_ids = RequestIds(_config.trusted_proxies > 0)
    # A signal handler must not wait for a lock, and only this queue takes none: a thread does the rest.
    stopped = queue.SimpleQueue()

    def close():
        stopped.get()
        # Requests of open connections, which are closed by their next response, may still start runs.
        server.dispatcher.close(refuses=False)
        # The worker waits for its connections first. If a client never closes one, the worker is killed while waiting,
        # which must not count as a death of its runs.
        server.dispatcher.wait_for_the_grace_time()
        server.stop()

    def stop(number, frame):
        server.dispatcher.is_stopping = True  # at once, for the next answer
        stopped.put(number)
        worker.handle_exit(number, frame)

    threading.Thread(target=close, name="close", daemon=True).start()
    signal.signal(signal.SIGTERM, stop)
    signal.siginterrupt(signal.SIGTERM, False)
    for message in _message:
        message.count_ready_worker()


def worker_exit(server, worker):
    if worker.booted:
        worker.app.wsgi().extensions["headrace"].stop()
