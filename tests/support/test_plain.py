"""Which functions have not run when their call returns, in every form one may come in."""

from __future__ import annotations

from functools import partial

import pytest

from so.support.plain import is_lazy, plain


async def waits(x=0):
    pass


def yields(x=0):
    yield x


def works(x=0):
    return x


class Waits:
    async def __call__(self):
        pass

    async def method(self):
        pass

    @classmethod
    async def of_class(cls):
        pass


class Works:
    def __call__(self):
        pass


LAZY = [waits, yields, partial(waits, 1), partial(partial(yields), 1), Waits(), Waits().method]


@pytest.mark.parametrize("fn", [*LAZY, Waits.of_class])
def test_a_function_that_only_prepares_its_work_is_refused_with_its_name(fn):
    with pytest.raises(TypeError, match="the task .* would only be prepared, never run"):
        plain(fn, "the task")


@pytest.mark.parametrize("fn", [works, partial(works, 1), Works(), Works, Waits, len, print])
def test_a_function_that_works_when_called_is_given_back(fn):
    assert plain(fn, "the task") is fn
    assert not is_lazy(fn)
