"""Former modules: plugins can still import them by their old names, with a warning."""

import importlib
import sys

import pytest

from nodes import sdk
from nodes.former_modules import FORMER


@pytest.mark.parametrize(("former", "present"), FORMER.items())
def test_a_former_module_has_the_names_of_the_present_one(monkeypatch, former, present):
    monkeypatch.delitem(sys.modules, former, raising=False)
    with pytest.warns(FutureWarning, match=f"{former} is now {present}"):
        module = importlib.import_module(former)
    names = [name for name in vars(importlib.import_module(present)) if not name.startswith("__")]
    assert names
    for name in names:
        assert getattr(module, name) is getattr(importlib.import_module(present), name)


def test_an_unknown_name_is_not_found():
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("nodes.never_was")


def test_the_sdk_has_each_of_its_names():
    assert all(hasattr(sdk, name) for name in sdk.__all__)
