"""im2col: fill the hole.

im2col copies each window of the images into a row of a matrix. A convolution is then one product of two matrices.

    row     (n, oh, ow)   one for each output pixel: all windows of image 0, then those of image 1, and so on
    column  (kh, kw, c)   one for each element of a window: c changes fastest, then kw, and kh slowest

    columns[(n,oh,ow), (kh,kw,c)] = x[n,h,i,c]    h = oh·stride_h + kh - pad_top
                                                  i = ow·stride_w + kw - pad_left
                                    0 in the padding, outside the image

    x = 1 2 3, kernel = (1, 2), stride = (1, 1), no padding:     columns = 1 2
                                                                           2 3

    x (N, H, W, C)                    kernel = (KH, KW)       pads = ((top, bottom), (left, right))
    columns (N·OH·OW, KH·KW·C)        stride = (stride_h, stride_w)

    OH = (H + top + bottom - KH) // stride_h + 1, and OW likewise

Return the matrix columns.
"""


def im2col(x, kernel, stride, pads):
    raise NotImplementedError
