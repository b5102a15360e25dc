def torch_same_pads(kernel, dilation):
    added = [dilation[axis] * (kernel[axis] - 1) for axis in (0, 1)]
    return tuple((total // 2, total - total // 2) for total in added)
