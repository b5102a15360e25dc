"""Which weight joins an output and an input: derive the formula.

The forward of a convolution in one dimension, with a kernel w of `kernel` elements:

    out[o] = sum over k of x[o+k] · w[k]        k = 0 ... kernel - 1

Take one output out[o] and one input x[i]. At most one weight w[k] joins them: the sum of out[o] has the product
x[i] · w[k]. Write the function that returns this k. If x[i] is not in the window of out[o], return None.

    o = 1, i = 3, kernel = 3:    2         out[1] = x[1]·w[0] + x[2]·w[1] + x[3]·w[2]
    o = 1, i = 0, kernel = 3:    None

Now look at one input: as o grows by 1, what does k do? This is why one reads that the kernel is turned in the backward.
"""


def which_weight(o, i, kernel):
    raise NotImplementedError
