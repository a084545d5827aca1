"""Lanes shared out among threads: whoever is free takes the next one."""

from __future__ import annotations

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from fastgmm._jit import JIT_DISABLED


@intrinsic
def _take_ir(typingctx, turn):
    def codegen(ctx, b, sig, args):
        one = ir.Constant(ir.IntType(64), 1)
        return b.atomic_rmw("add", make_array(sig.args[0])(ctx, b, args[0]).data, one, "monotonic")

    return types.int64(turn), codegen


def _take_python(turn):
    taken = int(turn[0])
    turn[0] += 1
    return taken


#: ``take(turn)``: return the number in ``turn`` (1,), int64, and add 1 to it, in one step that no other thread can divide.
take = _take_python if JIT_DISABLED else _take_ir
