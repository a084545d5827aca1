"""Register-blocked micro-kernels, written as LLVM IR through intrinsics, each with a plain-Python twin.

LLVM's loop vectoriser keeps at most one vector of samples per accumulator and goes through memory for the rest. A block
of columns x vectors held in registers loads each value once for several FMAs, and what follows the loop (squares,
constants, maxima, sums across a vector) happens before anything is stored. Written as IR they also cost Numba no type
inference and LLVM no vectorisation, which are most of the time to compile such loops.

Blocks are as large as the number of registers allows. Samples are along vectors: arrays are feature-major, (d, B),
C-contiguous.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from fastgmm._jit import JIT_DISABLED
from fastgmm.kernels import ir as _ir
from fastgmm.kernels.ir import I64, Block, Values

#: Samples that a call covers: tiles are padded to a multiple of it.
STEP = 32
#: Features whose squares are summed before they join the others: the total then rounds less often.
PART = 32


def few_features() -> int:
    """Return the number of features from which on there are panels of 8 columns.

    Below, there are panels of 2 for more samples at once. With 16 registers, where a panel of 8 is done in two halves, densities of
    8 to 64 features take 0.56 to 0.73 of the time so (AMD Zen 3), of 96 features 0.8, and of 128 features 1.07.
    """
    # odd, or 111 and 112 features would have as many columns, and panels of different widths
    return 7 if _ir.has_avx512() else 113


def panels(n_features: int) -> tuple[int, int]:
    """Return the columns in panels of 8, and columns in all (the rest are in panels of 2): how `pack_panels` cuts them."""
    in_eights = (n_features + 1) // 8 * 8 if n_features >= few_features() else 0
    return in_eights, max(in_eights, (n_features + 1) // 2 * 2)


def pack_panels(u: np.ndarray) -> np.ndarray:
    """Lay upper triangular matrices (..., d, d) out as panels, (..., size).

    A panel of w columns from column j holds their rows 0 .. j + w - 1, each row's w values side by side. A block of
    w columns reads contiguous values, at any d, and the zeros below the diagonal blocks are left out.
    """
    d = u.shape[-1]
    in_eights, columns = panels(d)
    padded = np.zeros((*u.shape[:-2], columns, columns), u.dtype)
    padded[..., :d, :d] = u
    cuts = [(j, 8) for j in range(0, in_eights, 8)] + [(j, 2) for j in range(in_eights, columns, 2)]
    parts = [padded[..., : j + w, j : j + w].reshape(*u.shape[:-2], (j + w) * w) for j, w in cuts]
    return np.ascontiguousarray(np.concatenate(parts, axis=-1))


def unpack_panels(packed: np.ndarray, columns: int) -> np.ndarray:
    """Undo `pack_panels` for one matrix, padding included."""
    u = np.zeros((columns, columns), packed.dtype)
    j = o = 0
    while j < columns:
        # panels of 8 come first, and behind them there are never four panels of 2
        w = 8 if columns - j >= 8 and columns > few_features() else 2
        u[: j + w, j : j + w] = packed[o : o + (j + w) * w].reshape(j + w, w)
        o, j = o + (j + w) * w, j + w
    return u


def _emit_transform(
    k: Block,
    x: tuple[Any, Any],
    mean: Any,
    u: Any,
    d: Any,
    s: Any,
    n_vectors: int,
    values: Values,
    use: Callable[[Any, list[Values], Values], Values],
    *,
    eights: bool = True,
) -> Values:
    """Emit y = U^T (x - mean) for `n_vectors` vectors of samples from s, panel by panel.

    d is the number of features; u points to packed panels. ``use(j, ys, values)`` gets the vectors ys[c][v] of the
    columns j + c, and returns the values to carry on. ``eights=False`` if it is known that no panel has 8 columns.
    """
    b = k.b

    def differences(i: Any) -> Values:
        m = k.broadcast(k.at(mean, i))
        return [b.fsub(k.load(k.at(x[0], x[1], i, k.plus(s, v * k.lanes))), m) for v in range(n_vectors)]

    def panel(width: int, columns: int) -> Callable[[Any, Values], Values]:
        """Return the body of the loop over panels of `width`, in blocks of `columns`; carried: the panel's offset, the rest."""

        def body(j: Any, carried: Values) -> Values:
            offset, *rest = carried
            for first in range(0, width, columns):

                def coefficient(i: Any, c: int, first: int = first) -> Any:
                    return k.broadcast(k.at(u, k.plus(b.add(offset, b.mul(i, I64(width))), first + c)))

                def row(i: Any, sums: Values, coefficient: Any = coefficient) -> Values:
                    xs = differences(i)
                    out = []
                    for c in range(columns):
                        coef = coefficient(i, c)
                        out += [k.muladd(coef, xs[v], sums[c * n_vectors + v]) for v in range(n_vectors)]
                    return out

                sums = k.loop(I64(0), k.plus(j, first), 1, [k.zero] * (columns * n_vectors), row)
                for t in range(columns):  # the triangle on the diagonal
                    i = k.plus(j, first + t)
                    xs = differences(i)
                    for c in range(t, columns):
                        coef = coefficient(i, c)
                        for v in range(n_vectors):
                            sums[c * n_vectors + v] = k.muladd(coef, xs[v], sums[c * n_vectors + v])
                ys = [sums[c * n_vectors : (c + 1) * n_vectors] for c in range(columns)]
                rest = use(k.plus(j, first), ys, rest)
            size = b.mul(k.plus(j, width), I64(width))
            return [b.add(offset, size), *rest]

        return body

    in_eights, carried = I64(0), [I64(0), *values]
    if eights:
        in_eights = b.and_(k.plus(d, 1), I64(-8))
        carried = k.loop(I64(0), in_eights, 8, carried, panel(8, 8 if k.wide else 4))
    return k.loop(in_eights, d, 2, carried, panel(2, 2))[1:]


def _emit_by_features(k: Block, d: Any, chunks: Callable[[int, bool], None]) -> None:
    """Emit ``chunks(n_vectors, eights)``: few features have no panel of 8, but more samples at once.

    So loading coefficients does not prevail.
    """
    with k.b.if_else(k.b.icmp_signed("<", d, I64(few_features()))) as (few, many):
        with few:
            chunks(STEP // k.lanes if k.wide else 4, False)
        with many:
            chunks(2, True)


@intrinsic
def _full_density_ir(typingctx, x, d, means, u, constant, c, resp, top, s0):
    sig = types.void(x, d, means, u, constant, c, resp, top, s0)

    def codegen(ctx, b, sig, args):
        k = Block(ctx, b, sig.args[0].dtype)
        x, means, u, resp = (k.array(sig.args[i], args[i]) for i in (0, 2, 3, 6))
        constant, top = (k.array(sig.args[i], args[i])[0] for i in (4, 7))
        d, c, s0 = args[1], args[5], args[8]
        mean = k.at(means[0], means[1], c, I64(0))
        matrix = k.at(u[0], u[1], c, I64(0))
        level = k.broadcast(k.at(constant, c))
        minus_half = k.splat(ir.Constant(k.scalar, -0.5))

        def squares(j, ys, totals):
            for y in ys:
                totals = [k.muladd(value, value, total) for value, total in zip(y, totals, strict=True)]
            return totals

        def chunks(n_vectors, eights):
            def chunk(s, _):
                zeros = [k.zero] * n_vectors
                totals = _emit_transform(k, x, mean, matrix, d, s, n_vectors, zeros, squares, eights=eights)
                for v, total in enumerate(totals):
                    here = k.plus(s, v * k.lanes)
                    value = k.muladd(minus_half, total, level)
                    k.store(value, k.at(resp[0], resp[1], c, here))
                    k.store(k.larger(value, k.load(k.at(top, here))), k.at(top, here))
                return []

            k.loop(s0, k.plus(s0, STEP), n_vectors * k.lanes, [], chunk)

        _emit_by_features(k, d, chunks)
        return ctx.get_dummy_value()

    return sig, codegen


def _full_density_python(x, d, means, u, constant, c, resp, top, s0):
    here = slice(s0, s0 + STEP)
    columns = panels(d)[1]
    with np.errstate(over="ignore", invalid="ignore"):  # as compiled code does, here and below
        y = unpack_panels(u[c], columns).T @ (x[:columns, here] - means[c, :columns, None])
        resp[c, here] = constant[c] - (y * y).sum(axis=0) * y.dtype.type(0.5)
    top[here] = np.maximum(resp[c, here], top[here])


#: ``full_density(x, d, means, u, constant, c, resp, top, s0)``: for STEP samples from s0 and component c,
#: ``resp[c, s] = constant[c] - 1/2 || U_c^T (x[:, s] - means[c]) ||^2`` and the running maximum ``top``. u : (k, size),
#: as `pack_panels` makes it. x and means have `panels(d)[1]` rows and columns at least. Cost: STEP d (d + 1) flops.
full_density = _full_density_python if JIT_DISABLED else _full_density_ir


@intrinsic
def _transform_ir(typingctx, x, d, centre, u, z, s0):
    sig = types.void(x, d, centre, u, z, s0)

    def codegen(ctx, b, sig, args):
        k = Block(ctx, b, sig.args[0].dtype)
        x, z = (k.array(sig.args[i], args[i]) for i in (0, 4))
        centre, u = (k.array(sig.args[i], args[i])[0] for i in (2, 3))
        d, s0 = args[1], args[5]

        def chunks(n_vectors, eights):
            def chunk(s, _):
                def store(j, ys, values):
                    for c, y in enumerate(ys):
                        for v in range(n_vectors):
                            k.store(y[v], k.at(z[0], z[1], k.plus(j, c), k.plus(s, v * k.lanes)))
                    return values

                _emit_transform(k, x, centre, u, d, s, n_vectors, [], store, eights=eights)
                return []

            k.loop(s0, k.plus(s0, STEP), n_vectors * k.lanes, [], chunk)

        _emit_by_features(k, d, chunks)
        return ctx.get_dummy_value()

    return sig, codegen


def _transform_python(x, d, centre, u, z, s0):
    here = slice(s0, s0 + STEP)
    columns = panels(d)[1]
    with np.errstate(over="ignore", invalid="ignore"):
        z[:columns, here] = unpack_panels(u, columns).T @ (x[:columns, here] - centre[:columns, None])


#: ``transform(x, d, centre, u, z, s0)``: ``z[:, s] = U^T (x[:, s] - centre)`` for STEP samples from s0; u : (size,).
transform = _transform_python if JIT_DISABLED else _transform_ir


@intrinsic
def _distance_density_ir(typingctx, x, means, scale, factor, constant, c0, c1, resp, top, s0):
    sig = types.void(x, means, scale, factor, constant, c0, c1, resp, top, s0)
    scaled = not isinstance(scale, types.NoneType)

    def codegen(ctx, b, sig, args):
        k = Block(ctx, b, sig.args[0].dtype)
        x, means, resp = (k.array(sig.args[i], args[i]) for i in (0, 1, 7))
        factor, constant, top = (k.array(sig.args[i], args[i])[0] for i in (3, 4, 8))
        scale = k.array(sig.args[2], args[2]) if scaled else None
        s0, both = args[9], args[5:7]
        d = b.extract_value(make_array(sig.args[1])(ctx, b, args[1]).shape, 1)
        n_vectors = STEP // k.lanes if k.wide else 2

        def chunk(s, _):
            def feature(i, sums):
                xs = [k.load(k.at(x[0], x[1], i, k.plus(s, v * k.lanes))) for v in range(n_vectors)]
                out = []
                for c, old in zip(both, (sums[:n_vectors], sums[n_vectors:]), strict=True):
                    mean = k.broadcast(k.at(means[0], means[1], c, i))
                    ts = [b.fsub(value, mean) for value in xs]
                    if scaled:
                        w = k.broadcast(k.at(scale[0], scale[1], c, i))
                        ts = [b.fmul(t, w) for t in ts]
                    out += [k.muladd(t, t, total) for t, total in zip(ts, old, strict=True)]
                return out

            def features(start):
                stop = k.plus(start, PART)
                stop = b.select(b.icmp_signed("<", stop, d), stop, d)
                return k.loop(start, stop, 1, [k.zero] * (2 * n_vectors), feature)

            def part(i, sums):
                return [b.fadd(old, new) for old, new in zip(sums, features(i), strict=True)]

            sums = k.loop(I64(PART), d, PART, features(I64(0)), part)
            for v in range(n_vectors):
                here = k.plus(s, v * k.lanes)
                highest = k.load(k.at(top, here))
                for c, total in zip(both, (sums[v], sums[n_vectors + v]), strict=True):
                    value = k.muladd(k.broadcast(k.at(factor, c)), total, k.broadcast(k.at(constant, c)))
                    k.store(value, k.at(resp[0], resp[1], c, here))
                    highest = k.larger(value, highest)
                k.store(highest, k.at(top, here))
            return []

        k.loop(s0, k.plus(s0, STEP), n_vectors * k.lanes, [], chunk)
        return ctx.get_dummy_value()

    return sig, codegen


def _distance_density_python(x, means, scale, factor, constant, c0, c1, resp, top, s0):
    here = slice(s0, s0 + STEP)
    for c in (c0, c1):
        with np.errstate(over="ignore", invalid="ignore"):
            t = x[: means.shape[1], here] - means[c, :, None]
            if scale is not None:
                t = t * scale[c, :, None]
            resp[c, here] = constant[c] + factor[c] * (t * t).sum(axis=0)
        top[here] = np.maximum(resp[c, here], top[here])


#: ``distance_density(x, means, scale, factor, constant, c0, c1, resp, top, s0)``: for STEP samples from s0 and the
#: components c in (c0, c1), ``resp[c, s] = constant[c] + factor[c] sum_i (scale[c, i] (x[i, s] - means[c, i]))^2`` and
#: the running maximum ``top``; scale : (k, d), or None for ones. Cost: 8 (6 without scale) STEP d flops.
distance_density = _distance_density_python if JIT_DISABLED else _distance_density_ir


@intrinsic
def _exponentials_ir(typingctx, resp, top, total, s0):
    sig = types.void(resp, top, total, s0)

    def codegen(ctx, b, sig, args):
        k = Block(ctx, b, sig.args[0].dtype)
        resp, row = k.array(sig.args[0], args[0])
        top, total = (k.array(sig.args[i], args[i])[0] for i in (1, 2))
        n_components = b.extract_value(make_array(sig.args[0])(ctx, b, args[0]).shape, 0)
        n_vectors = 2
        lowest = k.splat(ir.Constant(k.scalar, float("-inf")))

        def chunk(s, _):
            places = [k.plus(s, v * k.lanes) for v in range(n_vectors)]
            # -inf - -inf would be NaN: with 0 in its place every exponential is 0
            tops = [k.load(k.at(top, here)) for here in places]
            tops = [b.select(b.fcmp_ordered("==", value, lowest), k.zero, value) for value in tops]

            def component(c, sums):
                out = []
                for here, highest, old in zip(places, tops, sums, strict=True):
                    pointer = k.at(resp, row, c, here)
                    e = k.exp_nonpositive(b.fsub(k.load(pointer), highest))
                    k.store(e, pointer)
                    out.append(b.fadd(old, e))
                return out

            sums = k.loop(I64(0), n_components, 1, [k.zero] * n_vectors, component)
            for here, highest, value in zip(places, tops, sums, strict=True):
                k.store(highest, k.at(top, here))
                k.store(value, k.at(total, here))
            return []

        k.loop(args[3], k.plus(args[3], STEP), n_vectors * k.lanes, [], chunk)
        return ctx.get_dummy_value()

    return sig, codegen


def _exponentials_python(resp, top, total, s0):
    here = slice(s0, s0 + STEP)
    top[here] = np.where(top[here] == -np.inf, 0, top[here])
    resp[:, here] = np.exp(resp[:, here] - top[here])
    total[here] = resp[:, here].sum(axis=0)


#: ``exponentials(resp, top, total, s0)``: for STEP samples from s0, ``resp[c, s] = exp(resp[c, s] - top[s])``, which is at
#: most 1, and ``total[s] = sum_c resp[c, s]``. A `top` of -inf becomes 0. Cost: STEP k exponentials.
exponentials = _exponentials_python if JIT_DISABLED else _exponentials_ir


@intrinsic
def _scale_ir(typingctx, resp, total, c, n):
    sig = types.float64(resp, total, c, n)

    def codegen(ctx, b, sig, args):
        k = Block(ctx, b, sig.args[0].dtype)
        resp = k.at(*k.array(sig.args[0], args[0]), args[2], I64(0))
        total = k.data(sig.args[1], args[1])
        copies = STEP // k.lanes if k.wide else 4

        def samples(s, sums):
            out = []
            for copy, old in enumerate(sums):
                here = k.plus(s, copy * k.lanes)
                r = b.fmul(k.load(k.at(resp, here)), k.load(k.at(total, here)))
                k.store(r, k.at(resp, here))
                out.append(b.fadd(old, r))
            return out

        return k.total(k.loop(I64(0), args[3], copies * k.lanes, [k.zero] * copies, samples))

    return sig, codegen


def _scale_python(resp, total, c, n):
    resp[c, :n] *= total[:n]
    return float(resp[c, :n].sum(dtype=np.float64))


#: ``scale(resp, total, c, n)``: ``resp[c, s] *= total[s]`` for s < n, a multiple of STEP; returns their sum, float64.
scale = _scale_python if JIT_DISABLED else _scale_ir


@intrinsic
def _most_probable_ir(typingctx, resp, best, s0):
    sig = types.void(resp, best, s0)

    def codegen(ctx, b, sig, args):
        k = Block(ctx, b, sig.args[0].dtype)
        resp, row = k.array(sig.args[0], args[0])
        best = k.data(sig.args[1], args[1])
        n_components = k.shape(sig.args[0], args[0], 0)
        n_vectors = 2
        integers = ir.VectorType(ir.IntType(8 * k.size), k.lanes)
        indices = ir.VectorType(I64, k.lanes)

        def chunk(s, _):
            def component(c, state):
                name = k.splat(b.trunc(c, integers.element) if k.size == 4 else c, integers)
                out = []
                for v in range(n_vectors):
                    highest, index = state[2 * v : 2 * v + 2]
                    value = k.load(k.at(resp, row, c, k.plus(s, v * k.lanes)))
                    higher = b.fcmp_ordered(">", value, highest)
                    out += [b.select(higher, value, highest), b.select(higher, name, index)]
                return out

            start = [k.constant(float("-inf")), ir.Constant(integers, [0] * k.lanes)]
            state = k.loop(I64(0), n_components, 1, start * n_vectors, component)
            for v in range(n_vectors):
                index = state[2 * v + 1]
                index = b.zext(index, indices) if k.size == 4 else index
                pointer = b.bitcast(k.at(best, k.plus(s, v * k.lanes)), indices.as_pointer())
                b.store(index, pointer).align = 8
            return []

        k.loop(args[2], k.plus(args[2], STEP), n_vectors * k.lanes, [], chunk)
        return ctx.get_dummy_value()

    return sig, codegen


def _most_probable_python(resp, best, s0):
    best[s0 : s0 + STEP] = resp[:, s0 : s0 + STEP].argmax(axis=0)


#: ``most_probable(resp, best, s0)``: for STEP samples from s0, ``best[s]``, int64, is the first c of the highest resp[c, s].
most_probable = _most_probable_python if JIT_DISABLED else _most_probable_ir
