def momentum_step(w, v, dw, rate, momentum, decay):
    v = momentum * v - rate * (decay * w + dw)
    w = w + v
    return w, v
