"""One test of many small cases, where pytest itself would take longer for a test of each case than the check does."""

import inspect

import pytest


def for_each(names, cases):
    """Check all cases in one test, which lists every failing case. Use it like `pytest.mark.parametrize`.

    Other parameters are fixtures, which the cases share.
    """
    keys = [name.strip() for name in names.split(",")]

    def decorate(check):
        def test(**fixtures):
            failures = []
            for case in cases:
                values = dict(zip(keys, (case,) if len(keys) == 1 else case, strict=True))
                try:
                    check(**values, **fixtures)
                except (Exception, pytest.fail.Exception) as error:
                    failures.append(
                        f"{' '.join(repr(value)[:80] for value in values.values())}: {type(error).__name__}: {error}"
                    )
            assert not failures, f"{len(failures)} of {len(cases)} failed:\n" + "\n".join(failures)

        test.__name__, test.__doc__, test.__module__ = check.__name__, check.__doc__, check.__module__
        wanted = inspect.signature(check).parameters.values()
        test.__signature__ = inspect.Signature([parameter for parameter in wanted if parameter.name not in keys])
        assert cases, "there is nothing to check"
        return test

    return decorate
