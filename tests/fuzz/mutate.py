"""Small damages and large lies: of bytes, of text, and of the words of a command."""

import re
import struct

NUMBERS = [0, 1, -1, 127, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**32 - 1, 2**63 - 1, 2**64 - 1, 10**20]
VALUES = [
    *"0 -1 1e309 nan null ~ true [ [] [[1]] {a:1} '' ' \" \\ 0x10 1_0 a,b 1,2 ../../x /etc/x .. . ~/x ${x}".split(),
    *"=1+1 |x| <b> a=b !!python/name:os dps faces sr4 psnr [psnr] all 2 1.5 [0,1] cpu ${seed} ${oc.env:HOME}".split(),
    *("", "9" * 30, "x" * 300, "a b", "ü\ud800", "a\0b", "\x1b[31mred", "\u202eabc", "ü", "🙂"),
]


def of_bytes(rng, content):
    """A file with one to four damages."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        content = rng.choice(DAMAGES)(rng, content) if content else rng.randbytes(rng.randrange(64))
    return content


def of_text(rng, text):
    """A text with its lines, words and numbers mixed up."""
    if rng.random() < 0.2:
        return of_bytes(rng, text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogateescape")
    for _ in range(rng.choice((1, 1, 2, 4))):
        lines = text.splitlines(keepends=True) or [""]
        at, act = rng.randrange(len(lines)), rng.randrange(6)
        if act == 0:
            del lines[at]
        elif act == 1:
            lines.insert(rng.randrange(len(lines) + 1), lines[at])
        elif act == 2:
            lines[at] = rng.choice(("  ", "\t", "- ", "? ", "&a ", "*a ", "<<: ", "---\n", "%x\n", ": ")) + lines[at]
        elif act == 3:
            key, colon, _ = lines[at].partition(":")
            lines[at] = f"{key}{colon} {rng.choice(VALUES)}\n"
        elif act == 4:
            lines[at] = re.sub(r"\w+", lambda m: rng.choice((m[0], m[0], m[0][::-1], "x")), lines[at])
        else:
            lines[at] = re.sub(r"\d+", lambda m: str(rng.choice(NUMBERS)), lines[at])
        text = "".join(lines)
    return text


def of_words(rng, words):
    """The words of a command: other values, other keys, some twice or not at all."""
    words = list(words)
    for _ in range(rng.choice((1, 1, 2, 3))):
        at = rng.randrange(len(words))
        key, _, value = words[at].partition("=")
        words[at] = rng.choice((
            lambda key=key: f"{key}={rng.choice(VALUES)}",
            lambda key=key, value=value: f"{rng.choice(('+', '~', '++', '-', '@', ''))}{key}={value}",
            lambda key=key, value=value: f"{key}.{rng.choice(('x', 'name', '_x', ''))}={value}",
            lambda value=value: f"{rng.choice(('sed', 'method.solver.x', 'noise', 'hydra.x', ''))}={value}",
            lambda at=at: of_text(rng, words[at]).strip("\n") or "=",
        ))()  # fmt: skip
    return [word for word in words if "_target_" not in word]  # which is code, and is not fuzzed


def _flip(rng, content):
    at = rng.randrange(len(content))
    return content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :]


def _cut(rng, content):
    return content[: rng.randrange(len(content))]


def _drop(rng, content):
    at = rng.randrange(len(content))
    return content[:at] + content[at + rng.randrange(1, 64) :]


def _double(rng, content):
    at, size = rng.randrange(len(content)), rng.randrange(1, 256)
    return content[:at] + content[at : at + size] * rng.randrange(2, 5) + content[at:]


def _noise(rng, content):
    at = rng.randrange(len(content))
    return content[:at] + rng.randbytes(rng.randrange(1, 16)) + content[at + rng.randrange(16) :]


def _number(rng, content):
    """A binary number of another size, early in the file, where headers are."""
    kind = rng.choice(("<I", ">I", "<Q", ">Q", "<H", ">H"))
    number = struct.pack(kind, rng.choice(NUMBERS) % 256 ** struct.calcsize(kind))
    at = rng.randrange(min(len(content), rng.choice((32, 256, len(content)))))
    return content[:at] + number + content[at + len(number) :]


def _digits(rng, content):
    """A number in letters, as headers of .npy, safetensors and JSON have them."""
    found = list(re.finditer(rb"\d+", content[:4096]))
    if not found:
        return content
    one = rng.choice(found)
    return content[: one.start()] + str(rng.choice(NUMBERS)).encode() + content[one.end() :]


DAMAGES = (_flip, _flip, _cut, _drop, _double, _noise, _number, _number, _digits)
