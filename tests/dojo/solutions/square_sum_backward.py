def square_sum_backward(dout, x):
    return dout * 2 * x
