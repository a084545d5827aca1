"""Micro-kernels of small matrices, one for each sample, as LLVM IR: sums of products along samples (`rows`).

A sum stays in registers while it runs over the elements of a matrix; LLVM's loop vectoriser would take it through memory.
"""

from __future__ import annotations

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
