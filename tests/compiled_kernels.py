"""Triton kernels compiled for GPUs that are not there, which takes none.

A capability is that of `sm_…`: 80 an A100, 86 an A10 or a GeForce 30, 90 a Hopper.
"""

HOPPER = 90

SHARED_BYTES = {80: 163 * 1024, 86: 99 * 1024, HOPPER: 227 * 1024}
"""That one program may have: CUDA C++ Programming Guide, technical specifications per capability.
86 has the least of all that have tensor cores for what the kernels multiply."""


def compiled(function, pointers, constants, options, others=(), capability=HOPPER):
    """As a launch compiles it for sizes that 16 divides; `others` are float32 numbers."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    names = function.arg_names
    kinds = dict.fromkeys(names, "i32") | dict.fromkeys(constants, "constexpr")
    kinds |= {name: f"*{element}" for name, element in pointers.items()}
    kinds |= dict.fromkeys(others, "fp32")
    divided = set(names) - set(constants) - set(others) - {"image_count"}
    attributes = {(names.index(name),): [["tt.divisibility", 16]] for name in divided}
    found = triton.compile(
        ASTSource(function, kinds, constexprs=constants, attrs=attributes),
        target=GPUTarget("cuda", capability, 32),
        options=options,
    )
    assert found.metadata.shared <= SHARED_BYTES[capability]
    return found
