"""Working memory in LLVM IR: arrays whose code Numba need not make from its own `np.empty` and `np.zeros`.

Each of these is four functions of Numba's to type, to lower and to optimise, for every dtype, number of axes and set of flags:
0.1 s of a first fit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array

from fastgmm._jit import JIT_DISABLED
from fastgmm.kernels.ir import I64

#: A vector of 64 bytes that lies across two cache lines takes twice as long to load and to store.
_ALIGNMENT = 64


def _allocating(cleared: bool) -> Callable[..., Any]:
    """Return the typing function of an intrinsic that makes an array, of zeros if it is to be `cleared`."""

    def allocated(typingctx: Any, shape: Any, dtype: Any) -> Any:
        several = isinstance(shape, types.BaseTuple)
        axes = list(shape) if several else [shape]
        made = types.Array(dtype.dtype, len(axes), "C")

        def codegen(context: Any, b: Any, signature: Any, arguments: Any) -> Any:
            given = cgutils.unpack_tuple(b, arguments[0]) if several else [arguments[0]]
            sizes = [context.cast(b, size, axis, types.intp) for size, axis in zip(given, axes, strict=True)]
            element = context.get_data_type(made.dtype)
            strides = [I64(context.get_abi_sizeof(element))]
            for size in reversed(sizes):
                strides.insert(0, b.mul(strides[0], size))
            held = context.nrt.meminfo_alloc_aligned(b, size=strides[0], align=_ALIGNMENT)
            data = context.nrt.meminfo_data(b, held)
            if cleared:
                cgutils.memset(b, data, strides[0], 0)
            array = make_array(made)(context, b)
            populate_array(
                array,
                data=b.bitcast(data, element.as_pointer()),
                shape=cgutils.pack_array(b, sizes, ty=ir.IntType(64)),
                strides=cgutils.pack_array(b, strides[1:], ty=ir.IntType(64)),
                itemsize=strides[-1],
                meminfo=held,
            )
            return array._getvalue()

        return made(shape, dtype), codegen

    return allocated


def _new_python(shape, dtype):
    return np.empty(shape, dtype)


def _zeros_python(shape, dtype):
    return np.zeros(shape, dtype)


#: ``new(shape, dtype)`` and ``zeros(shape, dtype)``: as ``np.empty`` and ``np.zeros``, from an address that is a multiple of 64
#: bytes on. A dtype has to be given.
new = _new_python if JIT_DISABLED else intrinsic(_allocating(False))
zeros = _zeros_python if JIT_DISABLED else intrinsic(_allocating(True))
