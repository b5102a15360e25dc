"""A convolution by hand: predict the numbers.

A kernel w of KW elements goes over a row x. Each output is the inner product of w and a window of x:

    out[o] = sum over k of x[o+k] · w[k]        k = 0 ... KW - 1

Take x = (1, 4, 2) and w = (3, -2). So there are two outputs. Their gradients are dout = (2, -1): the loss changes by 2
for each 1 of out[0], and by -1 for each 1 of out[1].

1. out        What is out[1]?
2. dx_edge    What is dx[0], the gradient of the element 1?
3. dx_inside  What is dx[1], the gradient of the element 4?
4. dw         What is dw[0], the gradient of the weight 3?

A gradient is a sum over all outputs that the element reaches: dout there, times the factor of the element there.
Use a pencil, not Python. Write each number in place of None, and save the file.
"""

answers = {
    "out": None,
    "dx_edge": None,
    "dx_inside": None,
    "dw": None,
}  # fmt: skip
