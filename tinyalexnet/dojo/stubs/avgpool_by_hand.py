"""Average-pool by hand: predict the numbers.

An average-pool gives the mean of each window. Here is a row of three elements, with one element of padding (P) on each
side. The window is three elements long and moves by one:

    x         P   4   2   9   P
    out[0]    #   #   #
    out[1]        #   #   #
    out[2]            #   #   #        dout = 2 3 4

Padding does not count: a window that holds padding is the mean of its other elements.

dout[o] says how much the loss changes for each 1 of out[o]. The gradient dx[i] is a sum over all windows that hold
x[i]: dout there, times the change of this output for each 1 of x[i].

1. inside     What is out[1]?
2. edge       What is out[0]?
3. dx_edge    What is dx[0], the gradient of the element 4?
4. dx_inside  What is dx[1], the gradient of the element 2?

Use a pencil, not Python. Write each number in place of None, and save the file.
"""

answers = {
    "inside": None,
    "edge": None,
    "dx_edge": None,
    "dx_inside": None,
}  # fmt: skip
