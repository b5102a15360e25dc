"""The code that CUDA kernels share: launches, memory, implicit GEMM, reductions. Only ``runtime`` imports Numba."""
