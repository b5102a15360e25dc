def output_size(size, kernel, stride, pads):
    height, width = (
        (size[axis] + sum(pads[axis]) - kernel[axis]) // stride[axis] + 1 for axis in (0, 1)
    )  # fmt: skip
    return height, width
