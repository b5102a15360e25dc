"""The padding "same" of PyTorch: fill the hole.

With stride 1, padding "same" gives an output as large as the input. The kernel may be dilated: its positions are
`dilation` pixels apart. So along one axis the output has this size:

    output = size + before + after - dilation·(kernel - 1)

Write the function that returns the pads of both axes, ((top, bottom), (left, right)). If the number of added rows is
odd, the extra row is at the bottom; of columns, at the right.

    kernel = (1, 2), dilation = (1, 1):     ((0, 0), (0, 1))
    kernel = (3, 5), dilation = (1, 1):     ((1, 1), (2, 2))

TensorFlow's "SAME" depends on the stride and on the size of the image. This one does not: PyTorch refuses "same" for
any other stride than 1.

    kernel = (KH, KW)        dilation = (dilation_h, dilation_w)        all are ints
"""


def torch_same_pads(kernel, dilation):
    raise NotImplementedError
