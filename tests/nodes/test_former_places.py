"""What plugins have imported stays where they look for it for one release, with a warning."""

import importlib
import sys

import pytest


@pytest.mark.parametrize(
    ("former", "present", "name"),
    [
        ("nodes.egress", "net.egress", "host_of"),
        ("nodes.guard", "net.egress_guard", "guarded"),
        ("nodes.loops", "net.async_deadline", "in_time"),
    ],
)
def test_a_former_module_gives_what_the_present_one_has(monkeypatch, former, present, name):
    monkeypatch.delitem(sys.modules, former, raising=False)
    with pytest.warns(DeprecationWarning, match=f"{former} is {present} now"):
        module = importlib.import_module(former)
    assert getattr(module, name) is getattr(importlib.import_module(present), name)
