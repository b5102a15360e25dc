def which_windows(h, kernel_h, stride_h, pad_top, out_h):
    pairs = []
    for kh in range(kernel_h):
        oh, rest = divmod(h + pad_top - kh, stride_h)
        if rest == 0 and 0 <= oh < out_h:
            pairs.append((oh, kh))
    return pairs
