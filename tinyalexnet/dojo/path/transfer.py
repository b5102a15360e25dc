"""What was learnt, on operations that AlexNet does not have."""

from __future__ import annotations

from ..exercise import Bug, Exercise, Fill

EXERCISES = (
    Exercise(
        name="dilated_backward_input",
        title="Dilated convolution, backward",
        task=Fill("dilated_conv2d_backward_input"),
        hints=(
            "The forward multiplies x[n,h,i,c] by w[kh,kw,c,f], for some (oh, ow, kh, kw). What does dx[n,h,i,c] get?",
            "dilation 2    x    0   1   2   3\n"
            "oh = 0             w0      w1           dout[0] goes to x[0] and x[2]\n"
            "oh = 1                 w0      w1       dout[1] goes to x[1] and x[3]",
            "dx[:, h, i] += dout[:, oh, ow] @ w[kh, kw].T on a padded dx, with h = oh * stride_h + kh * dilation_h, "
            "and i likewise; crop it at the end",
        ),
    ),
    Exercise(
        name="transpose_forward",
        title="Transposed convolution",
        task=Fill("conv2d_transpose_forward"),
        hints=(
            "In a convolution's backward, each element of dout lays a copy of the kernel on dx. "
            "What are dout and dx here?",
            "stride 2, x = 3 1, w = 2 -1 1\n3 lays   6 -3  3\n1 lays         2 -1  1\nout      6 -3  5 -1  1",
            "out[:, h*s_h + kh, i*s_w + kw] += x[:, h, i] @ w[kh, kw].T, on a whole out; crop it at the end, with "
            "the slices top : top + OH and left : left + OW",
        ),
    ),
    Exercise(
        name="depthwise_backward_input",
        title="Depthwise convolution, backward",
        task=Bug("depthwise_backward_input"),
        hints=(
            "With one channel the function is right. What would it do with dout of a second channel?",
            "channel 0   x[..,0] --w[..,0]--> out[..,0]\n"
            "channel 1   x[..,1] --w[..,1]--> out[..,1]      no arrow goes from one channel to the other",
            "dx[:, oh * stride[0] + kh, ow * stride[1] + kw, :] += products",
        ),
    ),
    Exercise(
        name="torch_same_pads",
        title='The padding "same" of PyTorch',
        task=Fill("torch_same_pads"),
        hints=(
            "For output = size, how large must before + after be?",
            "kernel 4, dilation 1, so 3 more columns\n"
            "+ x x x x x + +       1 at the left, 2 at the right: the smaller half first",
            "total = dilation[0] * (kernel[0] - 1), and the pair of this axis is (total // 2, total - total // 2)",
        ),
    ),
    Exercise(
        name="avgpool_counted_backward",
        title="Average-pool with counted padding, backward",
        task=Fill("avgpool_counted_backward"),
        hints=(
            "One pixel grows by 1. By how much does each output grow whose window holds it?",
            "kernel (1, 2)     x      0     1     2\n"
            "window 0               1/2   1/2             of dout[0]\n"
            "window 1                     1/2   1/2       of dout[1]",
            "dx[:, h : h + KH, i : i + KW] += dout[:, oh, ow][:, None, None] / (KH * KW) on a padded dx, with "
            "h = oh * stride_h and i = ow * stride_w; crop it at the end",
        ),
    ),
    Exercise(
        name="batchnorm_backward",
        title="Batch normalisation, backward",
        task=Fill("batchnorm_backward"),
        hints=(
            "Add 1 to all rows of x: y does not change. So what must the sum of dx over the rows be?",
            "dout --·gamma--> dy --+--> minus its mean over n                      through the mean\n"
            "                      +--> minus y times the mean of dy·y over n      through the variance\n"
            "                      +--> all of it divided by sqrt(var + epsilon)   through y itself",
            "dx = (dy - dy.mean(axis=0) - y * (dy * y).mean(axis=0)) / np.sqrt(var + epsilon), with dy = gamma * dout",
        ),
        points=2,
    ),
    Exercise(
        name="nchw_bug",
        title="Convolution in NCHW",
        task=Bug("conv2d_nchw_forward"),
        hints=(
            "x of shape (1, 2, 1, 2) has 1 2 in channel 0 and 3 4 in channel 1. Which pair is pixel 0 of `images`?",
            "x[0]       channel 0: 1 2      channel 1: 3 4        in memory: 1 2 3 4\n"
            "wanted     pixel 0: 1 3        pixel 1: 2 4\n"
            "reshaped   pixel 0: 1 2        pixel 1: 3 4          the memory stays, its names change",
            "x.transpose(0, 2, 3, 1) in place of x.reshape(n, height, width, c)",
        ),
    ),
)
