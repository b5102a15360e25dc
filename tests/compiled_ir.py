"""Functions in LLVM's language, as LLVM compiles them: without Numba, so that plain Python reaches their code too."""

from __future__ import annotations

import contextlib
import ctypes

import llvmlite.binding as llvm
from llvmlite import ir


@contextlib.contextmanager
def compiled(module, kind):
    """``function(name)`` of a module, of arguments that are numbers, or flags."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine()
    parsed = llvm.parse_assembly(str(module))
    parsed.verify()
    with llvm.create_mcjit_compiler(parsed, machine) as engine:
        engine.finalize_object()
        types_of_c = [ctypes.c_bool if each == ir.IntType(1) else ctypes.c_int64 for each in kind]
        function = ctypes.CFUNCTYPE(None, *types_of_c)
        yield lambda name: function(engine.get_function_address(name))
