"""What decides how fast OpenBLAS multiplies small matrices, on x86 with AVX-512.

Before a product it copies both matrices, in another order, which pays if each element is used often. It leaves that out
for a product of at most ``SMALL_PRODUCT`` multiply-adds; if the second factor is transposed, its result may have
``SMALL_OUTPUT`` elements at most (OpenBLAS, ``kernel/x86_64/sgemm_small_kernel_permit_skylakex.c``). With
AVX2 it always copies, and a product that is cut to these sizes costs nothing. For ARM see docs/limits.md.
"""

SMALL_PRODUCT = 1_000_000
SMALL_OUTPUT = 1200
