/** Contents that the workloads write and the checks write again. */

/** Deterministic bytes that do not compress. */
export function noise(bytes: number, seed: number): Buffer {
  const buffer = Buffer.alloc(bytes);
  let state = (Math.imul(seed, 2654435761) + 1) | 0;
  for (let index = 0; index < bytes; index += 1) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    buffer[index] = state >>> 24;
  }
  return buffer;
}

/** The file that checkpoint number `sequence` brings. */
export function changingFile(sequence: number): Buffer {
  return noise(200 + 900 * (sequence % 5), sequence);
}
