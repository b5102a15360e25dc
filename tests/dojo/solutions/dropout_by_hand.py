answers = {"out_0": 2 / 0.25, "dx_2": -1 / 0.25, "dx_3": 0, "expected": 0.25 * 3 / 0.25}
