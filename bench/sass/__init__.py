"""Machine code of the CUDA kernels, read without a GPU: compile, disassemble, count."""
