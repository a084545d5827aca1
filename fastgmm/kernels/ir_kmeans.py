"""Distances from samples to points, as LLVM IR: blocks of vectors that stay in registers over all features.

LLVM's loop vectoriser would keep one sum per sample in memory and touch it at every feature. Each function has a twin in
plain Python, which runs if Numba is switched off. Arrays `x` are (d, B): features by samples, B a multiple of 128,
the most that a step takes (8 vectors of 16 floats).
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from fastgmm._jit import JIT_DISABLED
from fastgmm.kernels.ir import I32, I64, Block, vector_width


def _emit_nearest(ctx, b, sig, args, n_centres, n_vectors, margin=None):
    k = Block(ctx, b, sig.args[0].dtype)
    x, centres, norms, found = (k.data(sig.args[a], args[a]) for a in (0, 1, 2, 3))
    row, d, out_row = (
        k.array(sig.args[0], args[0])[1],
        k.array(sig.args[1], args[1])[1],
        k.array(sig.args[3], args[3])[1],
    )
    n = k.shape(sig.args[2], args[2], 0)
    x = b.gep(x, [args[4]])
    minus_two, zero, infinite = k.constant(-2.0), k.constant(0.0), k.constant(float("inf"))

    def panel(j0, state):
        base = b.gep(centres, [b.mul(j0, d)])
        starts = [b.gep(base, [b.mul(d, I64(j))]) for j in range(n_centres)]

        def products(i, sums):
            at = b.gep(x, [b.mul(i, row)])
            xs = [k.load(b.gep(at, [I64(k.lanes * v)])) for v in range(n_vectors)]
            new = []
            for j in range(n_centres):
                c = k.splat(b.load(b.gep(starts[j], [i])))
                new += [k.muladd(xs[v], c, sums[j * n_vectors + v]) for v in range(n_vectors)]
            return new

        sums = k.loop(I64(0), d, 1, [zero] * (n_centres * n_vectors), products)
        state = list(state)
        for j in range(n_centres):
            norm = k.splat(b.load(b.gep(norms, [b.add(j0, I64(j))])))
            name = k.splat(b.uitofp(b.add(j0, I64(j)), k.scalar))
            for v in range(n_vectors):
                best, second, label = state[3 * v : 3 * v + 3]
                value = k.muladd(minus_two, sums[j * n_vectors + v], norm)
                nearer = k.less(value, best)
                other = b.select(nearer, best, value)
                state[3 * v : 3 * v + 3] = [
                    b.select(nearer, value, best),
                    k.lower(other, second),
                    b.select(nearer, name, label),
                ]
        return state

    def square(i, sums):
        at = b.gep(x, [b.mul(i, row)])
        xs = [k.load(b.gep(at, [I64(k.lanes * v)])) for v in range(n_vectors)]
        return [k.muladd(x, x, s) for x, s in zip(xs, sums, strict=True)]

    state = k.loop(I64(0), n, n_centres, [infinite, infinite, zero] * n_vectors, panel)
    squares = k.loop(I64(0), d, 1, [zero] * n_vectors, square)
    for v in range(n_vectors):
        best, second, label = state[3 * v : 3 * v + 3]
        near, far = (k.root(b.fadd(value, squares[v])) for value in (best, second))
        gap = b.fsub(far, near)
        if margin is not None:
            slope, offset = margin
            gap = b.fsub(gap, b.fdiv(k.muladd(k.splat(slope), squares[v], k.splat(offset)), b.fadd(far, near)))
        at = b.gep(found, [b.add(args[4], I64(k.lanes * v))])
        for r, value in enumerate((label, gap, squares[v])):
            k.store(value, b.gep(at, [b.mul(out_row, I64(r))]))
    return ctx.get_dummy_value()


#: Centres in a panel of `nearest` and vectors of samples beside them: 16 sums and 4 vectors of samples fill 32 registers
#: (16 registers hold 8 and 2).
PANEL = 4
_VECTORS = 4 if vector_width() == 64 else 2


def _emit_steps(ctx, b, sig, args, margin=None):
    step = _VECTORS * vector_width() // (8 if sig.args[0].dtype == types.float64 else 4)

    def body(s0, values):
        _emit_nearest(ctx, b, sig, (*args[:4], s0), PANEL, _VECTORS, margin)
        return values

    Block(ctx, b, sig.args[0].dtype).loop(I64(0), args[4], step, [], body)
    return ctx.get_dummy_value()


@intrinsic
def _nearest_ir(typingctx, x, centres, norms, found, m):
    return types.void(x, centres, norms, found, m), _emit_steps


@intrinsic
def _nearest_within_ir(typingctx, x, centres, norms, found, m, slope, offset):
    def codegen(ctx, b, sig, args):
        return _emit_steps(ctx, b, sig, args, args[5:])

    return types.void(x, centres, norms, found, m, slope, offset), codegen


def _nearest_python(x, centres, norms, found, m):
    _nearest_within_python(x, centres, norms, found, m, 0.0, 0.0)


def _nearest_within_python(x, centres, norms, found, m, slope, offset):
    values = norms[:, None] - 2 * centres @ x[:, :m]
    label = values.argmin(axis=0)
    squares = (x[:, :m] ** 2).sum(axis=0)
    near, far = np.sqrt(np.maximum(np.partition(values, 1, axis=0)[:2] + squares, 0))
    margin = slope * squares + offset
    with np.errstate(invalid="ignore", divide="ignore"):
        found[:, :m] = label, far - near - np.where(margin > 0, margin / (far + near), 0.0), squares


#: ``nearest(x, centres, norms, found, m)``: for the first m samples (rounded up to whole steps), in the rows of `found`
#: (3, B): the first j of the lowest ``norms[j] - 2 x.centres[j]``, as a float; how much farther the second nearest centre is
#: than the nearest; ||x||^2. centres : (k, d), norms : (k,), k a multiple of PANEL. Each product is a chain of FMAs in
#: the order of features. Cost: 2 (k + 1) d flops a sample.
nearest = _nearest_python if JIT_DISABLED else _nearest_ir
#: ``nearest_within(x, centres, norms, found, m, slope, offset)``: as `nearest`, but the second row of `found` is what is left
#: of the difference if the squared distances differ by ``slope ||x||^2 + offset`` less; NaN or not positive if nothing is.
nearest_within = _nearest_within_python if JIT_DISABLED else _nearest_within_ir


#: Vectors of samples beside one point: 8 sums hide the latency of the FMA.
_CHAINS = 8


def _squared_distances(k, x, row, point, d, ahead):
    """Emit the squared distances of `_CHAINS` vectors of samples at `x` to the point at `point`, difference first.

    With each feature comes a prefetch of a cache line of those from `ahead` on.
    """
    b = k.b

    def feature(i, sums):
        k.prefetch(b.gep(ahead, [b.mul(i, I64(64 // k.size))]))
        at = b.gep(x, [b.mul(i, row)])
        c = k.splat(b.load(b.gep(point, [i])))
        differences = [b.fsub(k.load(b.gep(at, [I64(k.lanes * v)])), c) for v in range(_CHAINS)]
        return [k.muladd(t, t, s) for t, s in zip(differences, sums, strict=True)]

    return k.loop(I64(0), d, 1, [k.constant(0.0)] * _CHAINS, feature)


def _emit_potentials(ctx, b, sig, args):
    k = Block(ctx, b, sig.args[0].dtype)
    x, points, closest, out = (k.data(sig.args[a], args[a]) for a in (0, 1, 2, 4))
    row, d = k.array(sig.args[0], args[0])[1], k.array(sig.args[1], args[1])[1]
    n_points = k.shape(sig.args[1], args[1], 0)
    out_row = k.array(sig.args[4], args[4])[1]
    closest = b.gep(closest, [args[3]])
    line = 64 // k.size
    next_tile = b.gep(k.data(sig.args[7], args[7]), [args[8]])

    def step(s0, nothing):
        here = b.gep(x, [s0])
        # each step and point has lines of its own
        ahead = b.gep(next_tile, [b.mul(b.mul(b.udiv(s0, I64(_CHAINS * k.lanes)), n_points), b.mul(d, I64(line)))])
        pointers = [b.gep(closest, [b.add(s0, I64(k.lanes * v))]) for v in range(_CHAINS)]
        distances = _squared_distances(k, here, row, points, d, ahead)
        near = [k.lower(new, k.load(p)) for new, p in zip(distances, pointers, strict=True)]
        for value, pointer in zip(near, pointers, strict=True):
            k.store(value, pointer)

        def candidate(t, nothing):
            point, lines = (
                b.gep(at, [b.mul(b.add(t, I64(1)), b.mul(d, I64(n)))]) for at, n in ((points, 1), (ahead, line))
            )
            new = _squared_distances(k, here, row, point, d, lines)
            pointer = b.gep(out, [b.add(b.mul(t, out_row), args[5])])
            b.store(b.fadd(b.load(pointer), k.total([k.lower(*pair) for pair in zip(new, near, strict=True)])), pointer)
            return []

        return k.loop(I64(0), b.sub(n_points, I64(1)), 1, [], candidate)

    k.loop(I64(0), args[6], _CHAINS * k.lanes, [], step)


@intrinsic
def _potentials_ir(typingctx, x, points, closest, first, out, column, m, flat, ahead):
    sig = types.void(x, points, closest, first, out, column, m, flat, ahead)

    def codegen(ctx, b, sig, args):
        _emit_potentials(ctx, b, sig, args)
        return ctx.get_dummy_value()

    return sig, codegen


def _potentials_python(x, points, closest, first, out, column, m, flat, ahead):
    near = closest[first : first + m]
    for t, point in enumerate(points):
        nearer = np.minimum(near, ((x[:, :m] - point[:, None]) ** 2).sum(axis=0))
        if t == 0:
            near[:] = nearer
        else:
            out[t - 1, column] += nearer.sum(dtype=np.float64)


#: ``potentials(x, points, closest, first, out, column, m, flat, ahead)``: for the first m samples, a multiple of 128, lower
#: ``closest[first + s]`` to ``|| x[:, s] - points[0] ||^2``; then for each further point t add
#: ``sum_s min(closest[first + s], || x[:, s] - points[t] ||^2)`` to
#: ``out[t - 1, column]``, float64. points : (1 + t, d), t at least 1. Meanwhile ``flat[ahead :]`` comes into the cache, a line
#: for each feature of a point: of the next tile, which would be waited for. Cost: 3 (1 + t) d flops a sample.
potentials = _potentials_python if JIT_DISABLED else _potentials_ir


@intrinsic
def _transpose_ir(typingctx, flat, starts, shift, s0, j0, x):
    sig = types.void(flat, starts, shift, s0, j0, x)

    def codegen(ctx, b, sig, args):
        k = Block(ctx, b, sig.args[5].dtype, vector_bytes=64 if sig.args[5].dtype == types.float64 else 32)
        given = Block(ctx, b, sig.args[0].dtype)
        flat, starts, shift, x = (k.data(sig.args[a], args[a]) for a in (0, 1, 2, 5))
        row, s0, j0 = k.array(sig.args[5], args[5])[1], args[3], args[4]
        four = ir.VectorType(given.scalar, 4)
        offset = given.load(b.gep(shift, [j0]), four)
        rows = []
        for s in range(8):
            start = b.load(b.gep(starts, [b.add(s0, I64(s))]))
            difference = b.fsub(given.load(b.gep(flat, [b.add(start, j0)]), four), offset)
            rows.append(difference if k.size == given.size else b.fptrunc(difference, ir.VectorType(k.scalar, 4)))

        def shuffle(p, q, order):
            return b.shuffle_vector(p, q, ir.Constant(ir.VectorType(I32, len(order)), order))

        # samples s and s + 4 side by side, then a 4 x 4 transposition in either half
        pairs = [shuffle(rows[s], rows[s + 4], list(range(8))) for s in range(4)]
        low = [shuffle(pairs[s], pairs[s + 1], [0, 8, 1, 9, 4, 12, 5, 13]) for s in (0, 2)]
        high = [shuffle(pairs[s], pairs[s + 1], [2, 10, 3, 11, 6, 14, 7, 15]) for s in (0, 2)]
        for j, (p, q) in enumerate((low, low, high, high)):
            order = [0, 1, 8, 9, 4, 5, 12, 13] if j % 2 == 0 else [2, 3, 10, 11, 6, 7, 14, 15]
            k.store(shuffle(p, q, order), b.gep(x, [b.add(b.mul(b.add(j0, I64(j)), row), s0)]))
        return ctx.get_dummy_value()

    return sig, codegen


def _transpose_python(flat, starts, shift, s0, j0, x):
    for j in range(j0, j0 + 4):
        x[j, s0 : s0 + 8] = flat[starts[s0 : s0 + 8] + j] - shift[j]


#: ``transpose(flat, starts, shift, s0, j0, x)``: ``x[j, s] = flat[starts[s] + j] - shift[j]`` for 8 samples s from s0 and 4
#: features j from j0, rounded to the dtype of x. A sample takes 1.1 ns at d = 8 and 5.5 at d = 39; by strided loads, one number
#: at a time, 3 and 14.
transpose = _transpose_python if JIT_DISABLED else _transpose_ir


@intrinsic
def _prefetch_ir(typingctx, flat, position):
    sig = types.void(flat, position)

    def codegen(ctx, b, sig, args):
        k = Block(ctx, b, sig.args[0].dtype)
        k.prefetch(b.gep(k.data(sig.args[0], args[0]), [args[1]]))
        return ctx.get_dummy_value()

    return sig, codegen


def _prefetch_python(flat, position):
    pass


#: ``prefetch(flat, position)``: begin to bring ``flat[position]`` into the cache.
prefetch = _prefetch_python if JIT_DISABLED else _prefetch_ir
