"""What CUDA kernels share: launches, memory on the GPU, implicit GEMM and reductions. Only ``runtime`` imports Numba."""
