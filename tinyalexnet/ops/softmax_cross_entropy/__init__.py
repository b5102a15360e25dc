"""The loss of a classifier: softmax and cross-entropy in one, because only together they are stable and simple.

Derivation: docs/softmax_cross_entropy.md. Tests: tests/ops/test_softmax_cross_entropy.py.
"""

import numpy as np

from ...geometry import as_integer
from ..checks import INTEGERS, check_array, check_floats, check_shape, matrix_shape
from ..dispatch import resolve


def softmax_cross_entropy(
    logits: np.ndarray, labels: np.ndarray, backend: str = "cpu", *, batch: int | None = None
) -> tuple[float, np.ndarray]:
    """The mean over the batch of -log of the probability of the right class, and its gradient.

    Math
        p[n,k] = exp(logits[n,k]) / Σ_j exp(logits[n,j]),   loss = -1/N Σ_n log p[n, labels[n]]

        dlogits[n,k] = (p[n,k] - 1 if k = labels[n], else p[n,k]) / N. The largest logit of each row is subtracted
        first, which changes neither and keeps exp from overflowing. ``batch``, if given, stands in the place of N: the
        losses of the parts of a batch of so many rows add up to its loss, and their gradients are its rows.
    Shapes
        logits (N, K), labels (N,) of integers from 0 to K - 1 -> the loss, summed in float64, and dlogits (N, K). On a
        GPU the loss is a device array of one element, so that nothing has to wait for it.
    Errors
        TypeError if logits are not float32 or float64, or labels no integers. ValueError if shapes do not fit, a label
        is out of range, or batch is no int from 1 up. A GPU's labels are not read on the host: there, such a label
        makes the loss and the gradients of its row NaN.
    Cost
        N K exponentials.
    Source
        docs/softmax_cross_entropy.md.
    """
    device, kernels = resolve(__name__, backend)
    check_floats(device, logits=logits)
    n, classes = matrix_shape("logits", logits.shape, "(N, K)")
    check_array(device, "labels", labels, INTEGERS, "an integer dtype")
    check_shape("labels", labels.shape, (n,), "one element per row of logits")
    wrong = labels[(labels < 0) | (labels >= classes)] if device.on_host else np.empty(0, np.intp)
    if wrong.size:
        raise ValueError(f"labels has the element {wrong[0]}, but must have classes from 0 to {classes - 1}")
    count = n if batch is None else as_integer("batch", batch, 1)
    loss, dlogits = kernels.softmax_cross_entropy(logits, labels, count)
    return loss, dlogits
