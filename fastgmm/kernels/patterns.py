"""Patterns of missing values: which samples have values of the same features, and these values side by side."""

from __future__ import annotations

import numpy as np

from fastgmm._jit import ELEMENTWISE, helper

#: As in `kernels.distinct`: the upper bits of a product with it depend on all bits.
_GOLDEN, _SHIFT = np.uint64(0x9E3779B97F4A7C15), np.uint64(32)
_ZERO, _ONE = np.uint64(0), np.uint64(1)


@helper(ELEMENTWISE)
def find_patterns(samples, low, ids, table, firsts, keys, n_found):
    """Number the patterns of samples from `low` on, in the order of their first occurrence, until there is no room left.

    samples : Samples, in, a value of NaN is missing; ids : (n,) int32, out
    table : (2^b,) int32, inout, open addressing: numbers of patterns, -1 if free
    firsts : (most,) int64, inout, the first sample of each pattern; keys : (most,) uint64, inout; most is below 2^b
    n_found : patterns so far. Returns the first sample that has no number yet, and the patterns found.
    """
    mask = np.int64(len(table) - 1)
    for i in range(low, samples.n_samples):
        key = _key(samples, i)
        slot = np.int64(key >> _SHIFT) & mask
        found = np.int64(table[slot])
        while found >= 0 and not (keys[found] == key and _same(samples, i, firsts[found])):
            slot = (slot + 1) & mask
            found = np.int64(table[slot])
        if found < 0:
            if n_found == len(firsts):
                return i, n_found
            found = np.int64(n_found)
            table[slot] = found
            firsts[found], keys[found] = i, key
            n_found += 1
        ids[i] = found
    return samples.n_samples, n_found


@helper(ELEMENTWISE)
def fill_table(keys, n_found, table):
    """Put the patterns found so far into a larger table, which is free."""
    mask = np.int64(len(table) - 1)
    for found in range(n_found):
        slot = np.int64(keys[found] >> _SHIFT) & mask
        while table[slot] >= 0:
            slot = (slot + 1) & mask
        table[slot] = found


@helper(ELEMENTWISE, inline=True)
def _key(samples, i):
    """Return a hash of the pattern of sample i."""
    at, key, word = samples.offset + i * samples.row, _ZERO, _ONE
    for j in range(samples.n_features):
        x = samples.flat[at + j * samples.column]
        word = (word << _ONE) | (_ONE if x != x else _ZERO)  # the first 1 says how many features follow
        if j % 32 == 31:
            key = (key ^ word) * _GOLDEN
            key ^= key >> _SHIFT
            word = _ONE
    key = (key ^ word) * _GOLDEN
    return key ^ (key >> _SHIFT)


@helper(ELEMENTWISE, inline=True)
def _same(samples, i, other):
    """Return whether two samples have values of the same features."""
    a, b = samples.offset + i * samples.row, samples.offset + other * samples.row
    for j in range(samples.n_features):
        x, y = samples.flat[a + j * samples.column], samples.flat[b + j * samples.column]
        if (x != x) != (y != y):
            return False
    return True


@helper(ELEMENTWISE)
def sort_by_pattern(ids, places, order):
    """Write the samples of each pattern side by side, ascending. places : (patterns,) int64, inout, where each begins."""
    for i in range(len(ids)):
        pattern = ids[i]
        order[places[pattern]] = i
        places[pattern] += 1


@helper(ELEMENTWISE)
def gather_rows(samples, rows, features, out):
    """Set out[s, j] = X[rows[s], features[j]]. out : (m, p) float, out, C-contiguous."""
    for s in range(len(rows)):
        at = samples.offset + np.int64(rows[s]) * samples.row
        for j in range(len(features)):
            out[s, j] = samples.flat[at + features[j] * samples.column]
