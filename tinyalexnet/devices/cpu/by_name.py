"""Functions that are compiled once, and that kernels call by a name, as those of a library.

Numba copies what a kernel calls into the kernel, and compiles it there once more. The tiles of a matrix product, and
the transforms of Winograd, take longer to compile than the kernels around them. So each of them is a function by
itself, and the code of a kernel has its name alone. Before such a kernel is compiled or loaded, its functions are, and
LLVM is told where they are.
"""

import functools
from collections.abc import Callable
from typing import Any

from llvmlite import binding
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import lower_builtin

from .compiler import NAMED, inner

REALS = types.float32, types.float64


class Named:
    """A function without a result, ``compiled`` for each of REALS; ``arguments`` tells the types of its arguments."""

    def __init__(self, compiled: Any, arguments: Callable[[Any], tuple[Any, ...]]) -> None:
        self.compiled = compiled
        self._arguments = {real: arguments(real) for real in REALS}
        self._provided: set[Any] = set()

    def real_of(self, given: tuple[Any, ...]) -> Any:
        """For which element's type these are the arguments, or None."""
        return next((real for real, wanted in self._arguments.items() if wanted == given), None)

    def jobs(self, given: Any) -> list[tuple[str, str, tuple[Any, ...]]]:
        """What there is to compile before a kernel of arguments ``given``: module, name and types."""
        function = self.compiled.py_func
        return [(function.__module__, function.__name__, self._arguments[real]) for real in _reals_in(given)]

    def provide_for(self, given: Any) -> None:
        """Compiles, or loads, what a kernel of arguments ``given`` may call."""
        for real in _reals_in(given):
            self.provide(real)

    def provide(self, real: Any) -> None:
        """Compiles the function for this type, or loads it, and tells LLVM where it is."""
        if real not in self._provided:
            self.compiled.compile(self._arguments[real])
            found = self.compiled.overloads[self._arguments[real]]._asdict()
            address = found["library"].get_pointer_to_function(found["fndesc"].llvm_func_name)
            binding.add_symbol(self.symbol(real), address)
            self._provided.add(real)

    def typed(self, context: Any, given: tuple[Any, ...]) -> Any:
        """The signature of a call: that of the function, or if a type is another one, that of a copy."""
        real = self.real_of(tuple(map(types.unliteral, given)))
        if real is not None:
            return signature(types.none, *self._arguments[real])
        return context.resolve_function_type(types.Dispatcher(self.compiled), given, {})

    def lowered(self, context: Any, builder: Any, call: Any, values: Any) -> Any:
        """The code of a call."""
        real = self.real_of(call.args)
        if real is None:
            function = context.get_function(types.Dispatcher(self.compiled), call)
            context.add_linking_libs(getattr(function, "libs", ()))
            return function(builder, values)
        self.provide(real)
        kind = context.call_conv.get_function_type(types.none, call.args)
        function = cgutils.get_or_insert_function(builder.module, kind, self.symbol(real))
        status, _ = context.call_conv.call_function(builder, function, types.none, call.args, values)
        with cgutils.if_unlikely(builder, status.is_error):  # no memory, for example
            context.call_conv.return_status_propagate(builder, status)
        return context.get_dummy_value()

    def symbol(self, real: Any) -> str:
        """The name that code has for it."""
        function = self.compiled.py_func
        return f"{function.__module__}.{function.__name__}.{real}"


def integers(count: int) -> types.Type:
    """The type of so many addresses, steps or sizes."""
    return types.UniTuple(types.intp, count)


def by_name(arguments: Callable[[Any], tuple[Any, ...]], *marks: Any) -> Callable[[Any], Any]:
    """Decorator of a function without a result that kernels call by a name.

    ``arguments`` gives the types of its arguments, by that of an element; a call with others is an ordinary one.
    Kernels refer to it by one of the ``marks``, if not by itself.
    """

    def decorate(function: Any) -> Any:
        compiled = inner(function)
        if compiled is function:  # with NUMBA_DISABLE_JIT=1
            return function

        @functools.wraps(function)
        def call(*given: Any) -> None:
            compiled(*given)

        one = Named(compiled, arguments)

        class Call(AbstractTemplate):  # type: ignore[misc]
            key = call

            def generic(self, given: Any, _: Any) -> Any:
                return one.typed(self.context, given)

        infer_global(call, types.Function(Call))
        lower_builtin(call, types.VarArg(types.Any))(one.lowered)
        call.compiled, call.py_func = compiled, function  # type: ignore[attr-defined]
        NAMED.extend((mark, one) for mark in marks or (call,))
        return call

    return decorate


def _reals_in(given: Any) -> list[Any]:
    return [real for real in REALS if str(real) in str(given)]
