"""Asking for memory before it is needed: random look-ups then wait for each other no longer."""

from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

if config.DISABLE_JIT:

    def prefetch(array, row):
        """Do nothing: in plain Python it is not memory that one waits for."""

else:

    @intrinsic
    def prefetch(_, array, row):
        """Ask for the cache line where row ``row`` of a C-contiguous array begins."""

        def emit(context, builder, signature, arguments):
            array_type = signature.args[0]
            view = context.make_array(array_type)(context, builder, arguments[0])
            inner = [context.get_constant(types.intp, 0)] * (array_type.ndim - 1)
            address = cgutils.get_item_pointer(
                context, builder, array_type, view, [arguments[1], *inner], wraparound=False
            )
            address = builder.bitcast(address, cgutils.voidptr_t)
            flag = cgutils.int32_t
            function = builder.module.declare_intrinsic(
                "llvm.prefetch",
                [cgutils.voidptr_t],
                ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, flag, flag, flag]),
            )
            builder.call(function, [address, flag(0), flag(3), flag(1)])  # to read, into all caches, data
            return context.get_dummy_value()

        return types.void(array, row), emit
