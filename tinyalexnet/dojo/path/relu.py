"""ReLU, and its kink."""

from __future__ import annotations

from ..exercise import Catch, Exercise, Fill

EXERCISES = (
    Exercise(
        name="relu_backward",
        title="ReLU, backward",
        task=Fill("relu_backward"),
        hints=(
            "One element of x is -3. It changes by a little. Does its out change? So what is the slope there?",
            "x       -3   0   2\n"
            "out      0   0   2      out = max(x, 0)\n"
            "slope    0   0   1      of out, as x changes\n"
            "dx       ?   ?   ?      dout times the slope",
            "dx = np.where(x > 0, dout, 0.0)",
        ),
    ),
    Exercise(
        name="catch_zero",
        title="The kink",
        task=Catch(subject_name="relu_backward", beast_name="relu-passes-at-zero", counted="x", limit=1),
        hints=(
            "For which x do x > 0 and x >= 0 give different answers?",
            "x            -2      -1       0       1       2\n"
            "x > 0       False   False     ?      True    True\n"
            "x >= 0      False   False     ?      True    True",
            '"x": np.array([0.0]), with a dout of one element that is not 0',
        ),
    ),
)
