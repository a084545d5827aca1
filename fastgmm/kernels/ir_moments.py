"""Micro-kernels of the sufficient statistics, as LLVM IR: products and moments of samples weighted by responsibilities.

Blocks are as large as the number of registers allows, as in `ir_density`, which says why they are IR.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core import types
from numba.extending import intrinsic

from fastgmm._jit import JIT_DISABLED
from fastgmm.kernels.ir import I64, Block
from fastgmm.kernels.ir_density import STEP


def _products(n_rows: int, n_columns: int, triangle: bool) -> Any:
    """Make the micro-kernel of n_rows x n_columns products (on the diagonal: of the upper triangle)."""
    pairs = [(p, q) for p in range(n_rows) for q in range(p if triangle else 0, n_columns)]

    @intrinsic
    def products_ir(typingctx, v, scatter, r0, i0, j0, n):
        sig = types.void(v, scatter, r0, i0, j0, n)

        def codegen(ctx, b, sig, args):
            k = Block(ctx, b, sig.args[0].dtype)
            v, row = k.array(sig.args[0], args[0])
            scatter, width = k.array(sig.args[1], args[1])
            r0, i0, j0, n = args[2:]
            # few products are several sums each, or they wait for each other; many are done in two turns if they
            # would not fit into 16 registers
            copies = max(1, 8 // len(pairs))
            turns = 1 if k.wide or len(pairs) <= 10 else 2
            totals = dict.fromkeys(pairs, k.zero)
            for turn in range(turns):
                mine = [pair for pair in pairs if pair[1] * turns // n_columns == turn]

                def samples(s, sums, mine=mine):
                    out = list(sums)
                    for copy in range(copies):
                        here = k.plus(s, copy * k.lanes)
                        left = {p: k.load(k.at(v, row, k.plus(i0, p), here)) for p in {p for p, _ in mine}}
                        right = {
                            q: left[q] if triangle and q in left else k.load(k.at(v, row, k.plus(j0, q), here))
                            for q in {q for _, q in mine}
                        }
                        for i, (p, q) in enumerate(mine):
                            at = copy * len(mine) + i
                            out[at] = k.muladd(left[p], right[q], out[at])
                    return out

                sums = k.loop(I64(0), n, copies * k.lanes, [k.zero] * (copies * len(mine)), samples)
                for i, pair in enumerate(mine):
                    parts = sums[i :: len(mine)]
                    while len(parts) > 1:
                        parts = [b.fadd(*parts[a : a + 2]) for a in range(0, len(parts), 2)]
                    totals[pair] = parts[0]
            ordered = [totals.get((p, q), k.zero) for p in range(n_rows) for q in range(n_columns)]
            sums = k.sums(ordered)
            for p in range(n_rows):
                k.add_doubles(sums, p * n_columns, n_columns, k.at(scatter, width, k.plus(r0, p), j0))
            return ctx.get_dummy_value()

        return sig, codegen

    def products_python(v, scatter, r0, i0, j0, n):
        block = v[i0 : i0 + n_rows, :n] @ v[j0 : j0 + n_columns, :n].T
        scatter[r0 : r0 + n_rows, j0 : j0 + n_columns] += np.triu(block) if triangle else block

    return products_python if JIT_DISABLED else products_ir


#: ``products_4x4(v, scatter, r0, i0, j0, n)``: ``scatter[r0 + p, j0 + q] += sum_{s < n} v[i0 + p, s] v[j0 + q, s]`` for
#: 4 x 4 pairs; n is a multiple of STEP, `scatter` is float64. Cost: 32 n flops. The others: 4 x 2 pairs, and the
#: upper triangles (j0 = i0).
products_4x4, products_4x2 = _products(4, 4, False), _products(4, 2, False)
triangle_4, triangle_2 = _products(4, 4, True), _products(2, 2, True)


@intrinsic
def _weighted_differences_ir(typingctx, x, v, gathered, root, means, c, i0, n, sums, row):
    sig = types.void(x, v, gathered, root, means, c, i0, n, sums, row)

    def codegen(ctx, b, sig, args):
        k = Block(ctx, b, sig.args[0].dtype)
        x, v, root, means, sums = (k.array(sig.args[i], args[i]) for i in (0, 1, 3, 4, 8))
        x = [b.select(args[2], *pair) for pair in zip(v, x, strict=True)]
        c, i0, n, row = (args[i] for i in (5, 6, 7, 9))
        root = k.at(*root, c, I64(0))
        mean = [k.broadcast(k.at(means[0], means[1], c, k.plus(i0, j))) for j in range(4)]

        def samples(s, old):
            r = k.load(k.at(root, s))
            new = []
            for j in range(4):
                here = k.plus(i0, j)
                y = b.fmul(r, b.fsub(k.load(k.at(x[0], x[1], here, s)), mean[j]))
                k.store(y, k.at(v[0], v[1], here, s))
                new.append(k.muladd(r, y, old[j]))
            return new

        totals = k.loop(I64(0), n, k.lanes, [k.zero] * 4, samples)
        k.add_doubles(k.sums(totals), 0, 4, k.at(sums[0], sums[1], row, i0))
        return ctx.get_dummy_value()

    return sig, codegen


def _weighted_differences_python(x, v, gathered, root, means, c, i0, n, sums, row):
    here = slice(i0, i0 + 4)
    v[here, :n] = root[c, :n] * ((v if gathered else x)[here, :n] - means[c, here, None])
    sums[row, here] += (root[c, :n] * v[here, :n]).sum(axis=1)


#: ``weighted_differences(x, v, gathered, root, means, c, i0, n, sums, row)``: for the 4 features from i0 and s < n,
#: ``v[i, s] = root[c, s] (x[i, s] - means[c, i])`` (of v itself instead of x if `gathered`) and ``sums[row, i] += sum
#: root[c, s] v[i, s]``. n is a multiple of STEP; sums is float64.
weighted_differences = _weighted_differences_python if JIT_DISABLED else _weighted_differences_ir


def _small_moments(d: int) -> Any:
    """Make the micro-kernel of the first and second moments of all d features, d <= 3."""
    pairs = [(p, q) for p in range(d) for q in range(p, d)]

    @intrinsic
    def small_moments_ir(typingctx, x, resp, means, c, n, sums, scatter, row):
        sig = types.void(x, resp, means, c, n, sums, scatter, row)

        def codegen(ctx, b, sig, args):
            k = Block(ctx, b, sig.args[0].dtype)
            x, resp, means, sums, scatter = (k.array(sig.args[i], args[i]) for i in (0, 1, 2, 5, 6))
            c, n, row = args[3], args[4], args[7]
            resp = k.at(*resp, c, I64(0))
            mean = [k.broadcast(k.at(means[0], means[1], c, I64(j))) for j in range(d)]

            def samples(s, old):
                r = k.load(k.at(resp, s))
                t = [b.fsub(k.load(k.at(x[0], x[1], I64(j), s)), mean[j]) for j in range(d)]
                rt = [b.fmul(r, value) for value in t]
                new = [b.fadd(total, value) for total, value in zip(old, rt, strict=False)]
                return new + [k.muladd(rt[p], t[q], total) for (p, q), total in zip(pairs, old[d:], strict=True)]

            totals = k.loop(I64(0), n, k.lanes, [k.zero] * (d + len(pairs)), samples)
            results = k.sums(totals)
            for j in range(d):
                k.add_doubles(results, j, 1, k.at(sums[0], sums[1], row, I64(j)))
            width = (d + 1) // 2 * 2
            for i, (p, q) in enumerate(pairs):
                here = k.plus(b.mul(row, I64(width)), p)
                k.add_doubles(results, d + i, 1, k.at(scatter[0], scatter[1], here, I64(q)))
            return ctx.get_dummy_value()

        return sig, codegen

    def small_moments_python(x, resp, means, c, n, sums, scatter, row):
        t = x[:d, :n] - means[c, :d, None]
        sums[row, :d] += (resp[c, :n] * t).sum(axis=1)
        first = row * ((d + 1) // 2 * 2)
        scatter[first : first + d, :d] += np.triu((resp[c, :n] * t) @ t.T)

    return small_moments_python if JIT_DISABLED else small_moments_ir


#: ``small_moments_2(x, resp, means, c, n, sums, scatter, row)``: with t = x[:2, s] - means[c], ``sums[row] += sum_{s < n}
#: resp[c, s] t`` and the upper triangle of ``sum resp[c, s] t t^T`` added to the scatter of `row`, whose rows are an even number.
small_moments_1, small_moments_2, small_moments_3 = (_small_moments(d) for d in (1, 2, 3))


@intrinsic
def _moments_ir(typingctx, x, resp, means, c, i0, n, sums, scatter, row):
    sig = types.void(x, resp, means, c, i0, n, sums, scatter, row)
    second = not isinstance(scatter, types.NoneType)

    def codegen(ctx, b, sig, args):
        k = Block(ctx, b, sig.args[0].dtype)
        x, resp, means, sums = (k.array(sig.args[i], args[i]) for i in (0, 1, 2, 6))
        c, i0, n, row = (args[i] for i in (3, 4, 5, 8))
        resp = k.at(*resp, c, I64(0))
        mean = [k.broadcast(k.at(means[0], means[1], c, k.plus(i0, j))) for j in range(4)]
        # several sums for each moment, or they wait for each other: 16 in 32 registers, 8 in 16
        copies = min((2 if k.wide else 1) * (1 if second else 2), STEP // k.lanes)
        per_copy = 8 if second else 4

        def samples(s, old):
            new = list(old)
            for copy in range(copies):
                here = k.plus(s, copy * k.lanes)
                first = copy * per_copy
                r = k.load(k.at(resp, here))
                for j in range(4):
                    t = b.fsub(k.load(k.at(x[0], x[1], k.plus(i0, j), here)), mean[j])
                    if second:
                        # an addition, not an FMA: many CPUs have units for additions beside those for products
                        rt = b.fmul(r, t)
                        new[first + j] = b.fadd(new[first + j], rt)
                        new[first + 4 + j] = k.muladd(rt, t, new[first + 4 + j])
                    else:
                        new[first + j] = k.muladd(r, t, new[first + j])
            return new

        totals = k.loop(I64(0), n, copies * k.lanes, [k.zero] * (copies * per_copy), samples)
        while len(totals) > per_copy:
            half = len(totals) // 2
            totals = [b.fadd(*pair) for pair in zip(totals[:half], totals[half:], strict=True)]
        result = k.sums(totals)
        k.add_doubles(result, 0, 4, k.at(sums[0], sums[1], row, i0))
        if second:
            scatter = k.array(sig.args[7], args[7])
            k.add_doubles(result, 4, 4, k.at(scatter[0], scatter[1], row, i0))
        return ctx.get_dummy_value()

    return sig, codegen


def _moments_python(x, resp, means, c, i0, n, sums, scatter, row):
    here = slice(i0, i0 + 4)
    t = x[here, :n] - means[c, here, None]
    sums[row, here] += (resp[c, :n] * t).sum(axis=1)
    if scatter is not None:
        scatter[row, here] += (resp[c, :n] * t * t).sum(axis=1)


#: ``moments(x, resp, means, c, i0, n, sums, scatter, row)``: for the 4 features from i0, with t = x[i, s] - means[c, i],
#: ``sums[row, i] += sum_{s < n} resp[c, s] t`` and, unless scatter is None, ``scatter[row, i] += sum resp[c, s] t^2``.
#: n is a multiple of STEP; sums and scatter are float64. Cost: 12 n or 20 n flops.
moments = _moments_python if JIT_DISABLED else _moments_ir
