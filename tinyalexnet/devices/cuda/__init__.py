"""The parts that CUDA kernels share: launches, memory, implicit GEMM, reductions. Only ``runtime`` imports Numba."""
