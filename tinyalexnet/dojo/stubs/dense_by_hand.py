"""A dense layer by hand: predict the numbers.

A dense layer multiplies a row of x by a column of w, and adds a bias:

    out[n,f] = b[f] + sum over c of x[n,c] · w[c,f]

Here are two rows, two inputs and two outputs. Use a pencil, not Python.

    x =  1   2      w =  2   1      b = 1 0      dout = 2  -1
         3  -1          -3   4                          1   3

dout[n,f] says how much the loss changes for each 1 of out[n,f]. A gradient is a sum over all outputs that the element
reaches: dout there, times the change of this output for each 1 of the element.

1. out  What is out[1,0]?
2. dx   What is dx[0,1], the gradient of x[0,1]?
3. dw   What is dw[0,0], the gradient of w[0,0]?
4. db   What is db[0], the gradient of b[0]?

Indices begin with 0: x[0,1] = 2. Write each number in place of None, and save the file.
"""

answers = {
    "out": None,
    "dx": None,
    "dw": None,
    "db": None,
}  # fmt: skip
