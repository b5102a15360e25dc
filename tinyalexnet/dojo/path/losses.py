"""The loss of a classifier."""

from __future__ import annotations

from ..exercise import Catch, Exercise, Fill

EXERCISES = (
    Exercise(
        name="softmax_cross_entropy",
        title="Softmax and cross-entropy",
        task=Fill("softmax_cross_entropy"),
        hints=(
            "loss = log(sum of all exp(z[j])) - z[label]. "
            "What is its derivative with respect to z[k], if k is not the label?",
            "p          0.2  0.7  0.1\n"
            "label       0    1    0       1 at the label of the row\n"
            "dlogits    0.2 -0.3  0.1      p minus that, for one row; a batch of N rows divides by N",
            "z = logits - logits.max(axis=1, keepdims=True), and p[np.arange(N), labels] -= 1 before you divide by N",
        ),
    ),
    Exercise(
        name="catch_overflow",
        title="Softmax without care",
        task=Catch(subject_name="softmax_cross_entropy", beast_name="softmax-overflows", counted="logits", limit=1),
        hints=(
            "np.exp(x) is inf for a large x. What is inf divided by inf?",
            "logits        10      100      700      ?\n"
            "exp(logits)   2e4     3e43     1e304    inf      the largest float64 is 2e308\n"
            "p             1       1        1        nan      of a row with this logit alone",
            '"logits": np.array([[1000.0]]), and one label of 0',
        ),
    ),
)
