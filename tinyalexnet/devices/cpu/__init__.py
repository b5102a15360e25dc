"""The code that compiled kernels share: the compiler's options, threads, and memory that is used again."""
