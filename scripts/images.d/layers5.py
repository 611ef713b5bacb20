"""Fill ROOTFS with the files of layer N (0 to 4) of a synthetic image; the same bytes each time."""

import pathlib
import random
import sys

LAYER_BYTES = (60_000_000, 40_000_000, 25_000_000, 15_000_000, 10_000_000)
LARGEST_FILE_BYTES = 4_000_000
WORDS = [f"{random.Random(n).getrandbits(40):x}" for n in range(2000)]


def content(chance: random.Random, size_bytes: int) -> bytes:
    """Text for about half of the files, which compresses well, and noise, which does not."""
    if chance.random() < 0.5:
        return chance.randbytes(size_bytes)
    page = " ".join(chance.choices(WORDS, k=4000)).encode()
    return (page * (size_bytes // len(page) + 1))[:size_bytes]


def main(rootfs: pathlib.Path, layer: int) -> None:
    chance = random.Random(layer)
    left = LAYER_BYTES[layer]
    number = 0
    while left > 0:
        size_bytes = min(left, int(chance.lognormvariate(8.6, 1.9)) + 1, LARGEST_FILE_BYTES)
        folder = rootfs / f"opt/layer{layer}/{number % 97:02d}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:05d}.dat").write_bytes(content(chance, size_bytes))
        left -= size_bytes
        number += 1


main(pathlib.Path(sys.argv[1]), int(sys.argv[2]))
