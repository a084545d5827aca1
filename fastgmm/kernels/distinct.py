"""A table of distinct samples, each with the sum of the weights of those that equal it."""

from __future__ import annotations

import numpy as np

from fastgmm._jit import ELEMENTWISE, helper

#: 2^64 over the golden ratio: the upper bits of a product with it depend on all bits (Knuth, The Art of Computer
#: Programming 3, section 6.4).
_GOLDEN, _HALF = np.uint64(0x9E3779B97F4A7C15), np.uint64(32)
_ZERO = np.uint64(0)


@helper(ELEMENTWISE)
def gather_equal(samples, bits, weights, low, high, table, shift, rows, totals, n_distinct):
    """Add samples low .. high to the distinct ones, in the order of their first occurrence, until there is no room left.

    samples : Samples, in; bits : the memory of `samples` as unsigned integers; weights : (n,) float, in, or (0,) if all are 1
    table : (2^b,) int64, inout, open addressing: indices of `rows`, -1 if free; shift : 64 - b, uint64
    rows : (most, d) float, inout; totals : (most,) float64, inout; most is below 2^b
    n_distinct : rows that are in use. Returns the first sample that was not added, and the rows in use.
    """
    d, mask = samples.n_features, len(table) - 1
    for i in range(low, high):
        first = samples.offset + i * samples.row
        key = _ZERO
        for j in range(d):
            at = first + j * samples.column
            # the two zeros are equal and differ in their bits
            key = (key ^ (np.uint64(bits[at]) if samples.flat[at] != 0.0 else _ZERO)) * _GOLDEN
            key ^= key >> _HALF
        slot = np.int64((key * _GOLDEN) >> shift)
        found = table[slot]
        while found >= 0:
            same = True
            for j in range(d):
                same = same and rows[found, j] == samples.flat[first + j * samples.column]
            if same:
                break
            slot = (slot + 1) & mask
            found = table[slot]
        if found < 0:
            if n_distinct == len(totals):
                return i, n_distinct
            found = n_distinct
            table[slot] = found
            for j in range(d):
                rows[found, j] = samples.flat[first + j * samples.column]
            totals[found] = 0.0
            n_distinct += 1
        totals[found] += weights[i] if weights.shape[0] > 0 else 1.0
    return high, n_distinct
