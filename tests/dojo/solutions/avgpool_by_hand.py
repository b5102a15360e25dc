answers = {"inside": (4 + 2 + 9) / 3, "edge": (4 + 2) / 2, "dx_edge": 2 / 2 + 3 / 3, "dx_inside": 2 / 2 + 3 / 3 + 4 / 2}
