"""Machines on this machine: processes with their own network, process ids and boot id. Needs root and Linux.

A browser on this machine ends its requests when a link of such a machine goes up: see MACHINES in the Makefile.
"""

import os
import shutil
import subprocess
import sys

import pytest
from servers import Worker

NETWORK = "10.213.0.0/16"  # not routed: it is between the namespaces and this machine only
BEGIN = 'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"'


def command(*arguments, is_needed=True):
    """Run a program. Return True if it has succeeded."""
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 or not is_needed, f"{arguments}: {done.stderr}"
    return done.returncode == 0


def need_namespaces():
    """Skip the test unless this process may make machines."""
    if os.geteuid() != 0:
        pytest.skip("only root may create network namespaces")
    if missing := [name for name in ("ip", "unshare", "mount") if shutil.which(name) is None]:
        pytest.skip(f"this machine has no {missing[0]}")
    probe = f"hr-probe-{os.getpid()}"
    is_possible = command("ip", "netns", "add", probe, is_needed=False)
    if is_possible:
        is_possible = command("ip", "link", "add", "hrprobe0", "type", "veth", "peer", "name", "hrprobe1",
                              is_needed=False)  # fmt: skip
        command("ip", "link", "delete", "hrprobe0", is_needed=False)
        command("ip", "netns", "delete", probe)
    if not is_possible or not command("unshare", "-p", "-f", "--mount-proc", "true", is_needed=False):
        pytest.skip("this kernel, or container, permits no namespaces")


class Machine:
    """A network namespace, linked to this machine: `gateway` is the address of this machine there."""

    def __init__(self, number, folder):
        self.name = f"hr{os.getpid()}-{number}"
        self.link, inner = f"hrl{os.getpid() % 10**6}-{number}", f"hri{os.getpid() % 10**6}-{number}"
        self.gateway = f"10.213.{number}.1"
        self.boot = folder / f"boot{number}"
        self.boot.write_text(f"{number:08d}-0000-4000-8000-000000000000\n", "ascii")
        command("ip", "netns", "add", self.name)
        command("ip", "link", "add", self.link, "type", "veth", "peer", "name", inner)
        command("ip", "link", "set", inner, "netns", self.name)
        command("ip", "address", "add", f"{self.gateway}/24", "dev", self.link)
        command("ip", "link", "set", self.link, "up")
        inside = ("ip", "-n", self.name)
        command(*inside, "address", "add", f"10.213.{number}.2/24", "dev", inner)
        for name in ("lo", inner):
            command(*inside, "link", "set", name, "up")
        command(*inside, "route", "add", "default", "via", self.gateway)

    def unplug(self):
        command("ip", "link", "set", self.link, "down")

    def plug(self):
        command("ip", "link", "set", self.link, "up")

    def lose_packets(self, percent):
        """Lose packets to the machine. Return False if the kernel cannot do that."""
        lossy = ("netem", "loss", f"{percent}%")
        return command("tc", "qdisc", "add", "dev", self.link, "root", *lossy, is_needed=False)

    def close(self):
        command("ip", "link", "delete", self.link, is_needed=False)
        command("ip", "netns", "delete", self.name, is_needed=False)


class RemoteWorker(Worker):
    """A worker on a machine."""

    def __init__(self, machine, data_dir, **settings):
        super().__init__(data_dir, **settings)
        self.machine = machine

    @property
    def program(self):
        spaces = ("unshare", "-p", "-f", "--kill-child", "--mount-proc", "sh", "-c", BEGIN, str(self.machine.boot))
        return ["ip", "netns", "exec", self.machine.name, *spaces, sys.executable, *self.command]
