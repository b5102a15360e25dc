"""Dropout by hand: predict the numbers.

In training, dropout sets some elements to 0, and divides the others by 1 - rate:

    out[i] = x[i] / (1 - rate)   if element i is kept
    out[i] = 0                   if it is dropped

rate is the probability that an element is dropped. Here

    rate  =  0.75
    x     =  2    -1     6     3
    kept  =  yes  no   yes    no
    dout  =  3     4    -1     5        the gradient of the loss with respect to out

Use a pencil, not Python.

1. out_0     How large is out[0]?
2. dx_2      How large is dx[2], the gradient with respect to x[2]?
3. dx_3      How large is dx[3]?
4. expected  In another run the mask is drawn anew, with the same rate. What is out[3] on average, over many runs?

Write each number in place of None, and save the file.
"""

answers = {
    "out_0": None,
    "dx_2": None,
    "dx_3": None,
    "expected": None,
}  # fmt: skip
