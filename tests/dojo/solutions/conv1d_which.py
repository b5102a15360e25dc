def which_weight(o, i, kernel):
    k = i - o
    return k if 0 <= k < kernel else None
