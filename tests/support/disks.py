"""Ways in which a disk can refuse writes of a server, and recover."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest


class Full:
    """A small file system for the data that is filled to the last byte."""

    def __init__(self, folder, size="12m"):
        self.data_dir = folder / "small"
        self.data_dir.mkdir()
        options = ("-t", "tmpfs", "-o", f"size={size}", "tmpfs")
        _try("a file system cannot be mounted here", "mount", *options, self.data_dir)

    def refuse(self, server):
        descriptor = os.open(self._filler, os.O_WRONLY | os.O_CREAT)
        try:
            for size in (2**16, 1):
                with pytest.raises(OSError, match="No space left"):
                    while True:
                        os.write(descriptor, bytes(size))
        finally:
            os.close(descriptor)

    def leave(self, size):
        """Fill the disk until only so many bytes are free."""
        disk = os.statvfs(self.data_dir)
        self._filler.write_bytes(bytes(max(0, disk.f_bavail * disk.f_frsize - size)))

    def relent(self, server):
        self._filler.unlink()

    def close(self):
        # A lazy unmount, because an open reader would keep it mounted.
        subprocess.run(["umount", "-l", self.data_dir], check=True, timeout=60)

    @property
    def _filler(self):
        return self.data_dir / "filler"


class Limited:
    """A limit on the size of files: every write fails, also for root."""

    def __init__(self, folder):
        self.data_dir = folder / "data"

    def refuse(self, server):
        server.limit_files(0)

    def relent(self, server):
        server.limit_files(None)

    def close(self):
        pass


class ReadOnly:
    """The database's files are made immutable, for open and for new connections."""

    def __init__(self, folder):
        # On a disk: open files on tmpfs, where other tests may be, stay writable.
        self._folder = Path(tempfile.mkdtemp(dir="/var/tmp"))
        self.data_dir = self._folder / "data"
        try:
            self._probe(self._folder / "probe")
        except BaseException:
            shutil.rmtree(self._folder)
            raise

    @staticmethod
    def _probe(file):
        with file.open("wb", buffering=0) as opened:
            _try("files cannot be made immutable here", "chattr", "+i", file)
            try:
                opened.write(b"x")
                pytest.skip("files that are open can be written here though they are immutable")
            except PermissionError:
                pass
            finally:
                subprocess.run(["chattr", "-i", file], check=True, timeout=60)

    def refuse(self, server):
        subprocess.run(["chattr", "+i", *self._files(server)], check=True, timeout=60)

    def relent(self, server):
        subprocess.run(["chattr", "-i", *self._files(server)], check=True, timeout=60)

    def close(self):
        for file in self.data_dir.glob("*.sqlite3*"):
            subprocess.run(["chattr", "-i", file], check=False, stderr=subprocess.DEVNULL, timeout=60)
        shutil.rmtree(self._folder)

    @staticmethod
    def _files(server):
        return [server.database, Path(f"{server.database}-wal")]


def _try(reason, *command):
    if os.geteuid() != 0 or shutil.which(command[0]) is None:
        pytest.skip(f"{reason}: only root may, with {command[0]}")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if done.returncode:
        pytest.skip(f"{reason}: {done.stderr.strip()}")
