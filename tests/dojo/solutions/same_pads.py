def same_pads(size, kernel, stride):
    pads = []
    for axis in (0, 1):
        out = -(-size[axis] // stride[axis])
        total = max((out - 1) * stride[axis] + kernel[axis] - size[axis], 0)
        pads.append((total // 2, total - total // 2))
    return tuple(pads)
