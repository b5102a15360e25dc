import numpy as np


def case():
    return {"logits": np.array([[1000.0]]), "labels": np.array([0])}
