"""An output that says if a line has waited in its buffer."""

import io


class AtOnce(io.StringIO):
    """Each line must be flushed before the next one begins."""

    waiting = ""

    def write(self, text):
        assert not self.waiting.endswith("\n"), self.waiting
        self.waiting += text
        return super().write(text)

    def flush(self):
        self.waiting = ""

    def close(self):
        assert self.waiting == ""
        super().close()
