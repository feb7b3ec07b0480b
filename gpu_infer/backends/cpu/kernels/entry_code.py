"""Machine code of functions that Python calls, and no other compiled function.

Numba stores a function's intermediate code (LLVM bitcode) next to its machine code, so that functions compiled later
can inline it, and reads it each time for the names in it. That takes longer than to load the machine code. Here the
names are stored, and no intermediate code. A compiled function must not call such a function: it would be stored
without what it calls.
"""

from __future__ import annotations

from typing import Any

from llvmlite import binding
from numba.core.caching import CompileResultCacheImpl

from gpu_infer.backends.cpu.kernels.machine_code import MachineCode


class _EntryPoint(CompileResultCacheImpl):  # type: ignore[misc]
    """What is stored of one compiled function: the names that it defines, and Numba's own tuple."""

    def reduce(self, cres: Any) -> Any:
        result = super().reduce(cres)
        if not hasattr(cres.codegen._engine, "_defined_symbols"):  # in another version of Numba
            return set(), result
        (name, kind, (machine_code, bitcode)), *rest = result
        module = binding.parse_bitcode(bitcode)
        symbols = {
            symbol.name
            for symbols in (module.functions, module.global_variables)
            for symbol in symbols
            if not symbol.is_declaration
        }
        nothing = binding.parse_assembly("").as_bitcode()
        return symbols, ((name, kind, (machine_code, nothing)), *rest)

    def rebuild(self, target_context: Any, payload: Any) -> Any:
        symbols, result = payload
        if symbols:
            target_context.codegen()._engine._defined_symbols |= symbols  # else Numba does not look for them
        return super().rebuild(target_context, result)


class EntryCode(MachineCode):
    """Numba's cache of one function that no compiled function calls."""

    _impl_class = _EntryPoint
