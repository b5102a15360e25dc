"""The inner product: predict the numbers.

The inner product of two vectors is the sum of the products of their elements:

    s = ⟨a, b⟩ = a[0]·b[0] + a[1]·b[1] + a[2]·b[2]

Take a = (2, -1, 3) and b = (4, 5, -2). Use a pencil, not Python.

1. s       How large is s?
2. change  a[1] grows by 1, from -1 to 0. All else stays. By how much does s change?
3. slope   The loss is L = 3·s. By how much does L change, if a[1] grows by 1?
           (This is the chain rule: the change of L for each 1 of s, times the change of s for each 1 of a[1].)

Write each number in place of None, and save the file.
"""

answers = {
    "s": None,
    "change": None,
    "slope": None,
}  # fmt: skip
