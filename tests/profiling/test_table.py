"""Tables that grow by rows and shrink, once sealed, to what their values need."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from athena_tuning.profiling.columns.table import Table, narrow

SCHEMA = {"ms": np.float64, "n": np.int64}
rows = st.lists(
    st.lists(st.tuples(st.floats(width=64), st.integers(-(2**62), 2**62)), min_size=1, max_size=90),
    max_size=4,
)


@given(batches=rows)
def test_rows_come_back_as_they_went_in_by_one_or_by_many_sealed_or_not(batches):
    one_by_one, at_once = Table(SCHEMA), Table(SCHEMA)
    for batch in batches:
        ms, n = zip(*batch, strict=True)
        at_once.extend([np.array(ms), np.array(n, np.int64)])
        for row in batch:
            one_by_one.append(row)
    for sealed in (False, True):
        if sealed:
            one_by_one.seal()
            at_once.seal()
        flat = [row for batch in batches for row in batch]
        assert one_by_one.n == at_once.n == len(flat)
        for name, values in zip(SCHEMA, zip(*flat, strict=True) if flat else ((), ()), strict=True):
            assert np.array_equal(at_once[name], values, equal_nan=name == "ms")
            assert np.array_equal(one_by_one[name], values, equal_nan=name == "ms")
        for place in range(0, len(flat), 7):
            assert repr(tuple(one_by_one.row(place))) == repr(flat[place])


def test_a_column_takes_the_fewest_bytes():
    assert narrow(np.array([0, 255])).itemsize == 1
    assert narrow(np.array([-1, 300])).itemsize == 2
    assert narrow(np.array([0, 70_000])).itemsize == 4
    assert narrow(np.array([0, 2**40])).itemsize == 8
    assert narrow(np.full(1000, np.nan)).strides == (0,)
    assert narrow(np.full(1000, 7)).strides == (0,)


def test_a_float_column_stays_exact():
    values = np.array([0.1, 1 / 3, 5e-324])
    assert np.array_equal(narrow(values), values)
