"""Vectors of samples in LLVM IR, with which the micro-kernels are written.

Vectors are as wide as the registers of the CPU that code is made for: 64 bytes with AVX-512 (and then there are 32 of
them), else 32 (and 16). If registers are narrower LLVM splits vectors, which is correct, but slow for want of registers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.np.arrayobj import make_array

from fastgmm._jit import has_avx512
from fastgmm.kernels.elementary import EXP_CONSTANTS

I64, I32 = ir.IntType(64), ir.IntType(32)
Values = list[Any]


def vector_width() -> int:
    """Return the number of bytes in a vector."""
    return 64 if has_avx512() else 32


class Block:
    """Vectors of samples in arrays of one floating type, and the loops over them."""

    def __init__(self, context: Any, builder: Any, element: Any, vector_bytes: int | None = None) -> None:
        self.context, self.b = context, builder
        self.scalar = ir.DoubleType() if element == types.float64 else ir.FloatType()
        self.size = 8 if element == types.float64 else 4
        self.wide = has_avx512()
        self.lanes = (vector_bytes or vector_width()) // self.size
        self.vector = ir.VectorType(self.scalar, self.lanes)
        self.zero = ir.Constant(self.vector, [0.0] * self.lanes)

    def data(self, ty: Any, value: Any) -> Any:
        """Return the base pointer of an array."""
        return make_array(ty)(self.context, self.b, value).data

    def shape(self, ty: Any, value: Any, axis: int) -> Any:
        return self.b.extract_value(make_array(ty)(self.context, self.b, value).shape, axis)

    def array(self, ty: Any, value: Any) -> tuple[Any, Any]:
        """Return the base pointer and row length (in elements) of a 1-D or 2-D array."""
        a = make_array(ty)(self.context, self.b, value)
        size = self.context.get_abi_sizeof(self.context.get_data_type(ty.dtype))
        row = self.b.udiv(self.b.extract_value(a.strides, 0), I64(size)) if ty.ndim == 2 else None
        return a.data, row

    def at(self, data: Any, *index: Any) -> Any:
        """Return the address of an element: (i) of a pointer, (row length, i, j) of a matrix."""
        if len(index) == 1:
            return self.b.gep(data, [index[0]])
        row, i, j = index
        return self.b.gep(data, [self.b.add(self.b.mul(i, row), j)])

    def plus(self, i: Any, n: int) -> Any:
        return self.b.add(i, I64(n)) if n else i

    def load(self, pointer: Any, vector: Any = None) -> Any:
        value = self.b.load(self.b.bitcast(pointer, (vector or self.vector).as_pointer()))
        value.align = self.size
        return value

    def store(self, value: Any, pointer: Any) -> None:
        self.b.store(value, self.b.bitcast(pointer, value.type.as_pointer())).align = self.size

    def prefetch(self, pointer: Any) -> None:
        """Emit that the cache line of an address is brought into the cache; the address need not be valid."""
        byte = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte, I32, I32, I32])
        function = cgutils.get_or_insert_function(self.b.module, kind, "llvm.prefetch.p0")
        self.b.call(function, [self.b.bitcast(pointer, byte), I32(0), I32(3), I32(1)])

    def splat(self, x: Any, vector: Any = None) -> Any:
        undefined = ir.Constant(vector or self.vector, ir.Undefined)
        first = self.b.insert_element(undefined, x, I32(0))
        return self.b.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(I32, self.lanes), [0] * self.lanes))

    def broadcast(self, pointer: Any) -> Any:
        return self.splat(self.b.load(pointer))

    def muladd(self, x: Any, y: Any, z: Any) -> Any:
        """Return ``x * y + z``: one FMA if the CPU has it, else a product and a sum.

        Nothing here may need the product's exact value. `llvm.fma` has it everywhere, but if the CPU has no FMA by a
        call of the C library for each element, at up to 12 times the time of a whole pass.
        """
        name = f"llvm.fmuladd.v{self.lanes}f{8 * self.size}"
        function = cgutils.get_or_insert_function(self.b.module, ir.FunctionType(self.vector, [self.vector] * 3), name)
        return self.b.call(function, [x, y, z])

    def constant(self, value: float) -> Any:
        return ir.Constant(self.vector, [value] * self.lanes)

    def larger(self, x: Any, y: Any) -> Any:
        return self.b.select(self.b.fcmp_ordered(">", x, y), x, y)

    def less(self, x: Any, y: Any) -> Any:
        return self.b.fcmp_ordered("<", x, y)

    def lower(self, x: Any, y: Any) -> Any:
        return self.b.select(self.less(x, y), x, y)

    def root(self, x: Any) -> Any:
        """Return the square root, that of 0 for negative x."""
        function = cgutils.get_or_insert_function(
            self.b.module, ir.FunctionType(self.vector, [self.vector]), f"llvm.sqrt.v{self.lanes}f{8 * self.size}"
        )
        return self.b.call(function, [self.b.select(self.less(x, self.zero), self.zero, x)])

    def loop(self, start: Any, stop: Any, step: int, values: Values, body: Callable[[Any, Values], Values]) -> Values:
        """Emit ``for i in range(start, stop, step): values = body(i, values)``; return the values after it."""
        b = self.b
        before = b.block
        head, inside, done = (b.append_basic_block(name) for name in ("head", "inside", "done"))
        b.branch(head)
        b.position_at_end(head)
        i = b.phi(I64)
        i.add_incoming(start, before)
        carried = [b.phi(value.type) for value in values]
        for phi, value in zip(carried, values, strict=True):
            phi.add_incoming(value, before)
        b.cbranch(b.icmp_signed("<", i, stop), inside, done)
        b.position_at_end(inside)
        updated = body(i, list(carried))
        i.add_incoming(b.add(i, I64(step)), b.block)
        for phi, value in zip(carried, updated, strict=True):
            phi.add_incoming(value, b.block)
        b.branch(head)
        b.position_at_end(done)
        return list(carried)

    def sums(self, vectors: Values) -> list[Any]:
        """Sum across each of the vectors; return vectors of such sums, `lanes` of them each, in order.

        Two vectors that each hold m sums still in parts become one that holds 2 m, in half as many parts. This takes 2 shuffles
        and an addition; summing the vectors one by one takes log2(lanes) of each for every one of them.
        """
        b, n = self.b, self.lanes
        out = []
        for first in range(0, len(vectors), n):
            level = vectors[first : first + n]
            level = level + [self.zero] * (n - len(level))
            half = n // 2
            while len(level) > 1:
                low = [q for q in range(2 * n) if q % (2 * half) < half]
                high = [q + half for q in low]
                masks = [ir.Constant(ir.VectorType(I32, n), mask) for mask in (low, high)]
                level = [
                    b.fadd(*(b.shuffle_vector(level[i], level[i + 1], mask) for mask in masks))
                    for i in range(0, len(level), 2)
                ]
                half //= 2
            out.append(level[0])
        return out

    def total(self, vectors: Values) -> Any:
        """Return the sum of all elements as a double: vectors pairwise, then elements pairwise."""
        while len(vectors) > 1:
            vectors = [self.b.fadd(vectors[i], vectors[i + 1]) for i in range(0, len(vectors), 2)]
        total, lanes = vectors[0], self.lanes
        if self.size == 4:
            total = self.b.fpext(total, ir.VectorType(ir.DoubleType(), lanes))
        while lanes > 1:
            lanes //= 2
            halves = [ir.Constant(ir.VectorType(I32, lanes), list(range(h, h + lanes))) for h in (0, lanes)]
            total = self.b.fadd(*(self.b.shuffle_vector(total, total, half) for half in halves))
        return self.b.extract_element(total, I32(0))

    def add_doubles(self, sums: list[Any], first: int, count: int, pointer: Any) -> None:
        """Add `count` of the sums that `sums` made, from number `first` on, to float64s in memory."""
        source, offset = sums[first // self.lanes], first % self.lanes
        mask = ir.Constant(ir.VectorType(I32, count), [offset + i for i in range(count)])
        part = self.b.shuffle_vector(source, source, mask)
        doubles = ir.VectorType(ir.DoubleType(), count)
        if self.size == 4:
            part = self.b.fpext(part, doubles)
        old = self.b.load(self.b.bitcast(pointer, doubles.as_pointer()))
        old.align = 8
        self.b.store(self.b.fadd(old, part), self.b.bitcast(pointer, doubles.as_pointer())).align = 8

    def exp_nonpositive(self, x: Any) -> Any:
        """Return e^x for x <= 0 as `elementary.exp` does, but zero if that is not a normal number: one factor 2^n will do."""
        b, c = self.b, EXP_CONSTANTS[self.size]
        integers = ir.VectorType(ir.IntType(8 * self.size), self.lanes)

        def constant(value: Any) -> Any:
            kind = self.vector if isinstance(value, float) else integers
            return ir.Constant(kind, [value] * self.lanes)

        shifted = self.muladd(x, constant(c.log2e), constant(c.round))
        n = b.fsub(shifted, constant(c.round))
        high = self.muladd(n, constant(-c.ln2_high), x)
        low = b.fmul(n, constant(c.ln2_low))
        r = b.fsub(high, low)
        p = constant(c.polynomial[0])
        for coefficient in c.polynomial[1:]:
            p = self.muladd(p, r, constant(coefficient))
        y = b.fadd(constant(1.0), b.fadd(high, self.muladd(b.fmul(r, r), p, b.fneg(low))))
        power = b.shl(b.add(b.bitcast(shifted, integers), constant(c.bias)), constant(c.mantissa))
        return b.select(
            b.fcmp_ordered("<=", x, constant(c.lowest)), self.zero, b.fmul(y, b.bitcast(power, self.vector))
        )
