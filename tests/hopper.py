"""Triton kernels compiled for a Hopper, which takes no GPU."""


def compiled_for_hopper(function, pointers, constants, options, others=()):
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
    return triton.compile(
        ASTSource(function, kinds, constexprs=constants, attrs=attributes),
        target=GPUTarget("cuda", 90, 32),
        options=options,
    )
