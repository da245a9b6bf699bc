"""Running a cell in a test, and spoiling what it stored."""

from sipbench.bench import sealed, store
from sipbench.bench.run import run


def rows_of(c):
    """The rows of a cell that is run to its end."""
    for _ in run(c):
        pass
    return store.read(c.folder)


def spoil_pictures(path):
    """Flip a bit of what a file keeps of its images: its numbers stay sound."""
    content = bytearray(path.read_bytes())
    content[int(sealed.SEAL.search(content)[1][:12]) + 50] ^= 1
    path.write_bytes(content)
