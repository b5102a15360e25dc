answers = {"out": 4 * 3 + 2 * -2, "dx_edge": 2 * 3, "dx_inside": 2 * -2 + -1 * 3, "dw": 2 * 1 + -1 * 4}
