"""Micro-kernels of small matrices, one for each sample, as LLVM IR: sums of products along samples (`rows`).

A sum stays in registers while it runs over the elements of a matrix; LLVM's loop vectoriser would take it through memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core import types
from numba.extending import intrinsic

from fastgmm._jit import JIT_DISABLED
from fastgmm.kernels.ir import I64, Block

#: Vectors of samples that are worked on at once: STEP samples if a vector has 64 bytes, half of that if it has 32.
_COPIES = 4


@intrinsic
def _subtract_products_ir(typingctx, target, row, a, a0, b, b0, count, n):
    sig = types.void(target, row, a, a0, b, b0, count, n)

    def codegen(ctx, builder, sig, args):
        k = Block(ctx, builder, sig.args[0].dtype)
        target, a, b = (k.array(sig.args[i], args[i]) for i in (0, 2, 4))
        row, a0, b0, count, n = (args[i] for i in (1, 3, 5, 6, 7))

        def samples(s, _):
            heres = [k.plus(s, c * k.lanes) for c in range(_COPIES)]
            first = [k.load(k.at(*target, row, here)) for here in heres]

            def element(m, sums):
                return [
                    k.muladd(
                        builder.fneg(k.load(k.at(*a, builder.add(a0, m), here))),
                        k.load(k.at(*b, builder.add(b0, m), here)),
                        value,
                    )
                    for here, value in zip(heres, sums, strict=True)
                ]

            for here, value in zip(heres, k.loop(I64(0), count, 1, first, element), strict=True):
                k.store(value, k.at(*target, row, here))
            return []

        k.loop(I64(0), n, _COPIES * k.lanes, [], samples)
        return ctx.get_dummy_value()

    return sig, codegen


def _subtract_products_python(target, row, a, a0, b, b0, count, n):
    target[row, :n] -= (a[a0 : a0 + count, :n] * b[b0 : b0 + count, :n]).sum(axis=0)


#: ``subtract_products(target, row, a, a0, b, b0, count, n)``: ``target[row, s] -= sum_{m < count} a[a0 + m, s] b[b0 + m, s]`` for
#: s < n, a multiple of STEP. All arrays float64.
subtract_products = _subtract_products_python if JIT_DISABLED else _subtract_products_ir


@intrinsic
def _weighted_excess_ir(typingctx, resp, component, w, i, v, j, a, a0, b, b0, count, n):
    sig = types.float64(resp, component, w, i, v, j, a, a0, b, b0, count, n)

    def codegen(ctx, builder, sig, args):
        k = Block(ctx, builder, sig.args[0].dtype)
        resp, w, v, a, b = (k.array(sig.args[p], args[p]) for p in (0, 2, 4, 6, 8))
        component, i, j, a0, b0, count, n = (args[p] for p in (1, 3, 5, 7, 9, 10, 11))

        def samples(s, sums):
            heres = [k.plus(s, c * k.lanes) for c in range(_COPIES)]
            first = [builder.fmul(k.load(k.at(*w, i, here)), k.load(k.at(*v, j, here))) for here in heres]

            def element(m, excess):
                return [
                    k.muladd(
                        builder.fneg(k.load(k.at(*a, builder.add(a0, m), here))),
                        k.load(k.at(*b, builder.add(b0, m), here)),
                        value,
                    )
                    for here, value in zip(heres, excess, strict=True)
                ]

            excess = k.loop(I64(0), count, 1, first, element)
            return [
                k.muladd(k.load(k.at(*resp, component, here)), value, total)
                for here, value, total in zip(heres, excess, sums, strict=True)
            ]

        sums = k.loop(I64(0), n, _COPIES * k.lanes, [k.zero] * _COPIES, samples)
        return k.total(sums)

    return sig, codegen


def _weighted_excess_python(resp, component, w, i, v, j, a, a0, b, b0, count, n):
    inner = (a[a0 : a0 + count, :n] * b[b0 : b0 + count, :n]).sum(axis=0)
    return np.sum(resp[component, :n] * (w[i, :n] * v[j, :n] - inner))


#: ``weighted_excess(resp, k, w, i, v, j, a, a0, b, b0, count, n)``: return ``sum_{s < n} resp[k, s] (w[i, s] v[j, s] -
#: sum_{m < count} a[a0 + m, s] b[b0 + m, s])``; n is a multiple of STEP. All arrays float64.
weighted_excess = _weighted_excess_python if JIT_DISABLED else _weighted_excess_ir


def _at(i: int, j: int) -> int:
    """Return where element (i, j) of a lower triangle is, row by row."""
    return i * (i + 1) // 2 + j


def _small_density(d: int) -> Any:
    """Make the micro-kernel of the decomposition of d x d matrices, d few enough for them to stay in registers."""
    size = d * (d + 1) // 2

    @intrinsic
    def small_density_ir(typingctx, x, noise, covariance, means, c, solved, base, determinant, resp, n):
        sig = types.void(x, noise, covariance, means, c, solved, base, determinant, resp, n)

        def codegen(ctx, b, sig, args):
            k = Block(ctx, b, sig.args[0].dtype)
            x, noise, covariance, means, solved, resp = (k.array(sig.args[i], args[i]) for i in (0, 1, 2, 3, 5, 8))
            determinant = k.array(sig.args[7], args[7])[0]
            c, base, n = args[4], args[6], args[9]
            v = [k.broadcast(k.at(*covariance, c, I64(i))) for i in range(size)]
            mean = [k.broadcast(k.at(*means, c, I64(i))) for i in range(d)]

            def samples(s, _):
                lower, inverse, z = {}, [], []
                product, distance = k.constant(1.0), k.zero
                for i in range(d):
                    row = []
                    for j in range(i + 1):
                        value = b.fadd(v[_at(i, j)], k.load(k.at(*noise, I64(_at(i, j)), s)))
                        for m in range(j):
                            value = k.muladd(b.fneg(row[m]), lower[j, m] if j < i else lower[i, m], value)
                        row.append(value)
                        if j < i:
                            lower[i, j] = b.fmul(value, inverse[j])
                            k.store(lower[i, j], k.at(*solved, k.plus(base, _at(i, j)), s))
                    inverse.append(b.fdiv(k.constant(1.0), row[i]))
                    k.store(inverse[i], k.at(*solved, k.plus(base, _at(i, i)), s))
                    product = b.fmul(product, row[i])
                    value = b.fsub(k.load(k.at(*x, I64(i), s)), mean[i])
                    for m in range(i):
                        value = k.muladd(b.fneg(lower[i, m]), z[m], value)
                    z.append(value)
                    k.store(value, k.at(*solved, k.plus(base, size + i), s))
                    distance = k.muladd(b.fmul(value, value), inverse[i], distance)
                k.store(product, k.at(determinant, s))
                k.store(distance, k.at(*resp, c, s))
                return []

            k.loop(I64(0), n, k.lanes, [], samples)
            return ctx.get_dummy_value()

        return sig, codegen

    def small_density_python(x, noise, covariance, means, c, solved, base, determinant, resp, n):
        z = base + size
        determinant[:n] = 1.0
        resp[c, :n] = 0.0
        for s in range(n):
            row = np.zeros((d, d))
            for i in range(d):
                for j in range(i + 1):
                    row[i, j] = covariance[c, _at(i, j)] + noise[_at(i, j), s]
                    for m in range(j):
                        row[i, j] -= row[i, m] * solved[base + _at(j, m) if j < i else base + _at(i, m), s]
                    if j < i:
                        solved[base + _at(i, j), s] = row[i, j] * solved[base + _at(j, j), s]
                solved[base + _at(i, i), s] = 1.0 / row[i, i]
                solved[z + i, s] = x[i, s] - means[c, i]
                for m in range(i):
                    solved[z + i, s] -= solved[base + _at(i, m), s] * solved[z + m, s]
                determinant[s] *= row[i, i]
                resp[c, s] += solved[z + i, s] ** 2 / row[i, i]

    return small_density_python if JIT_DISABLED else small_density_ir


def _small_excess(d: int) -> Any:
    """Make the micro-kernel of the sums of one component, from what `_small_density` keeps."""
    size = d * (d + 1) // 2
    pairs = [(i, j) for i in range(d) for j in range(i + 1)]

    @intrinsic
    def small_excess_ir(typingctx, solved, base, factor, c, resp, n, sums, scatter, target):
        sig = types.void(solved, base, factor, c, resp, n, sums, scatter, target)

        def codegen(ctx, b, sig, args):
            k = Block(ctx, b, sig.args[0].dtype)
            solved, factor, resp, sums, scatter = (k.array(sig.args[i], args[i]) for i in (0, 2, 4, 6, 7))
            base, c, n, target = (args[i] for i in (1, 3, 5, 8))
            root = [k.broadcast(k.at(*factor, c, I64(i))) for i in range(size)]

            def samples(s, old):
                r = k.load(k.at(*resp, c, s))
                part = {pair: k.load(k.at(*solved, k.plus(base, _at(*pair)), s)) for pair in pairs}
                z = [b.fmul(k.load(k.at(*solved, k.plus(base, size + i), s)), part[i, i]) for i in range(d)]
                column, image, w = {}, {}, []
                for j in range(d):
                    for i in range(j, d):
                        value = root[_at(i, j)]
                        for m in range(j, i):
                            value = k.muladd(b.fneg(part[i, m]), column[m, j], value)
                        column[i, j] = value
                        image[i, j] = b.fmul(value, part[i, i])
                    value = b.fmul(column[j, j], z[j])
                    for i in range(j + 1, d):
                        value = k.muladd(column[i, j], z[i], value)
                    w.append(value)
                new = [k.muladd(r, w[i], old[i]) for i in range(d)]
                for at, (i, j) in enumerate(pairs):
                    value = b.fmul(w[i], w[j])
                    for m in range(i, d):
                        value = k.muladd(b.fneg(column[m, i]), image[m, j], value)
                    new.append(k.muladd(r, value, old[d + at]))
                return new

            totals = k.loop(I64(0), n, k.lanes, [k.zero] * (d + size), samples)
            for i, total in enumerate(totals):
                place = k.at(*sums, target, I64(i)) if i < d else k.at(*scatter, target, I64(i - d))
                b.store(b.fadd(b.load(place), k.total([total])), place)
            return ctx.get_dummy_value()

        return sig, codegen

    def small_excess_python(solved, base, factor, c, resp, n, sums, scatter, target):
        for s in range(n):
            lower, inverse, root = np.eye(d), np.zeros(d), np.zeros((d, d))
            for i, j in pairs:
                root[i, j] = factor[c, _at(i, j)]
                if i == j:
                    inverse[i] = solved[base + _at(i, i), s]
                else:
                    lower[i, j] = solved[base + _at(i, j), s]
            column = np.linalg.solve(lower, root)
            w = column.T @ (solved[base + size : base + size + d, s] * inverse)
            excess = np.outer(w, w) - column.T @ (inverse[:, None] * column)
            sums[target, :] += resp[c, s] * w
            for i, j in pairs:
                scatter[target, _at(i, j)] += resp[c, s] * excess[i, j]

    return small_excess_python if JIT_DISABLED else small_excess_ir


#: ``small_density_D(x, noise, covariance, means, c, solved, base, determinant, resp, n)``: for s < n and D features, of
#: T = covariance_c + noise_s = L diag(D) L^T: L, with 1 / D on the diagonal, and z = L^-1 (x - mean_c) behind it, in the rows of
#: `solved` from `base` on; ``determinant[s]`` is that of T, and ``resp[c, s] = z^T D^-1 z``.
#: ``small_excess_D(solved, base, factor, c, resp, n, sums, scatter, target)``: with G = L^-1 factor_c and w = G^T D^-1 z,
#: ``sums[target] += sum_s resp[c, s] w`` and ``scatter[target] += sum_s resp[c, s] (w w^T - G^T D^-1 G)``, a lower triangle.
small_density_2, small_density_3, small_density_4, small_density_5 = map(_small_density, (2, 3, 4, 5))
small_excess_2, small_excess_3, small_excess_4, small_excess_5 = map(_small_excess, (2, 3, 4, 5))
