"""AlexNet's forward and forward-backward passes, timed: TensorFlow's benchmark of 2015 on a network from scratch."""

from tinyalexnet import interrupts  # noqa: F401, first: from here on Ctrl-C is one line
from tinyalexnet.command import start


def main(arguments: list[str] | None = None) -> int:
    """Parses ``arguments``, runs the benchmark and returns the exit code."""
    # Imported here, because it takes a while; an error of the import is reported by ``start``.
    from tinyalexnet.benchmark.command import main as run

    return run(arguments)


if __name__ == "__main__":
    start(main)
