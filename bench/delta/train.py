# Trains a small network for real and saves it as safetensors before and after some steps.
#
#   python3 train.py FOLDER DTYPE STEPS_BEFORE GAP WIDTH
#
# DTYPE: fp32 (weights), bf16 (the same weights, rounded), optimizer (fp32 weights with the moments of AdamW).
# A perceptron of four layers learns what another one, whose weights are random, makes of random inputs; AdamW, batches of 64,
# learning rate 1e-3 with warm-up. Everything follows from one seed; BLAS may round differently on another machine.
import json
import struct
import sys

import numpy as np

folder, dtype, before, gap, width = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5])
random = np.random.default_rng(7)
sizes = [width // 4, width, width // 2, width // 4, 64]


def fresh(scale):
    return [random.standard_normal((a, b), dtype=np.float32) * np.float32(scale / np.sqrt(a)) for a, b in zip(sizes, sizes[1:])]


def forward(layers, x):
    kept = [x]
    for i, w in enumerate(layers):
        x = x @ w
        if i + 1 < len(layers):
            x = np.maximum(x, 0)
        kept.append(x)
    return kept


teacher, weights = fresh(1.4), fresh(1.4)
first = [np.zeros_like(w) for w in weights]
second = [np.zeros_like(w) for w in weights]


def step(number):
    x = random.standard_normal((64, sizes[0]), dtype=np.float32)
    kept = forward(weights, x)
    gradient = (kept[-1] - forward(teacher, x)[-1]) * np.float32(2 / 64)
    rate = np.float32(1e-3 * min(1, number / 10))
    for i in reversed(range(len(weights))):
        g = kept[i].T @ gradient
        if i > 0:
            gradient = (gradient @ weights[i].T) * (kept[i] > 0)
        first[i] += np.float32(0.1) * (g - first[i])
        second[i] += np.float32(0.001) * (g * g - second[i])
        m = first[i] / np.float32(1 - 0.9**number)
        v = second[i] / np.float32(1 - 0.999**number)
        weights[i] -= rate * (m / (np.sqrt(v) + np.float32(1e-8)) + np.float32(0.01) * weights[i])


def rounded(w):
    bits = w.view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def save(name, number):
    tensors = {f"layers.{i}.weight": w for i, w in enumerate(weights)}
    if dtype == "optimizer":
        tensors.update({f"exp_avg.{i}": w for i, w in enumerate(first)})
        tensors.update({f"exp_avg_sq.{i}": w for i, w in enumerate(second)})
    head, data, at = {"__metadata__": {"step": str(number)}}, [], 0
    for key, w in tensors.items():
        raw = rounded(w) if dtype == "bf16" else w
        data.append(np.ascontiguousarray(raw).tobytes())
        end = at + len(data[-1])
        head[key] = {"dtype": "BF16" if dtype == "bf16" else "F32", "shape": list(w.shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(head, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(f"{folder}/{name}", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(data))


for number in range(1, before + gap + 1):
    step(number)
    if number == before:
        save("source", number)
save("target", before + gap)
