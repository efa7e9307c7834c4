/** Checkpoints of a small network that is trained here: weights and Adam's moments as safetensors, float32. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SeededRandom } from '../lib/seeded-data.mjs';

const SIZES = [256, 512, 256, 16];
const RATE = 1e-3;

/** @param {SeededRandom} random */
const normal = (random) => {
  let sum = 0;
  for (let i = 0; i < 6; i += 1) sum += random.below(1e6) / 1e6 - 0.5;
  return sum * Math.SQRT2;
};

class Layer {
  /** @param {number} inputs @param {number} outputs @param {SeededRandom} random */
  constructor(inputs, outputs, random) {
    this.inputs = inputs;
    this.outputs = outputs;
    this.weight = Float32Array.from({ length: inputs * outputs }, () => normal(random) / Math.sqrt(inputs));
    this.gradient = new Float32Array(this.weight.length);
    this.mean = new Float32Array(this.weight.length);
    this.square = new Float32Array(this.weight.length);
  }

  /** @param {Float32Array} input */
  forward(input) {
    this.input = input;
    this.output = new Float32Array(this.outputs);
    for (let o = 0; o < this.outputs; o += 1) {
      let sum = 0;
      for (let i = 0; i < this.inputs; i += 1) sum += this.weight[o * this.inputs + i] * input[i];
      this.output[o] = Math.tanh(sum);
    }
    return this.output;
  }

  /** @param {Float32Array} error @returns {Float32Array} */
  backward(error) {
    const back = new Float32Array(this.inputs);
    for (let o = 0; o < this.outputs; o += 1) {
      const slope = error[o] * (1 - this.output[o] * this.output[o]);
      for (let i = 0; i < this.inputs; i += 1) {
        this.gradient[o * this.inputs + i] += slope * this.input[i];
        back[i] += slope * this.weight[o * this.inputs + i];
      }
    }
    return back;
  }

  /** @param {number} step */
  adjust(step) {
    const first = 1 - 0.9 ** step;
    const second = 1 - 0.999 ** step;
    for (let i = 0; i < this.weight.length; i += 1) {
      const slope = this.gradient[i];
      this.mean[i] = 0.9 * this.mean[i] + 0.1 * slope;
      this.square[i] = 0.999 * this.square[i] + 0.001 * slope * slope;
      this.weight[i] -= (RATE * (this.mean[i] / first)) / (Math.sqrt(this.square[i] / second) + 1e-8);
      this.gradient[i] = 0;
    }
  }
}

/** @param {readonly Layer[]} layers */
function safetensors(layers) {
  /** @type {Record<string, object>} */
  const header = {};
  const pieces = [];
  let at = 0;
  for (const [i, layer] of layers.entries()) {
    for (const name of /** @type {const} */ (['weight', 'mean', 'square'])) {
      const bytes = Buffer.from(layer[name].buffer);
      header[`layer${i}.${name}`] = {
        dtype: 'F32',
        shape: [layer.outputs, layer.inputs],
        data_offsets: [at, at + bytes.length],
      };
      at += bytes.length;
      pieces.push(bytes);
    }
  }
  const text = Buffer.from(JSON.stringify(header).padEnd(8 * Math.ceil(JSON.stringify(header).length / 8)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, ...pieces]);
}

/**
 * Trains and writes `count` checkpoints, `steps` steps apart; returns their paths.
 * @param {{ directory: string, count: number, steps: number }} options
 */
export function trainCheckpoints({ directory, count, steps }) {
  const random = new SeededRandom('training');
  const layers = SIZES.slice(1).map((outputs, i) => new Layer(/** @type {number} */ (SIZES[i]), outputs, random));
  const files = [];
  let step = 0;
  for (let i = 0; i < count; i += 1) {
    for (let n = 0; n < steps; n += 1) {
      step += 1;
      for (let sample = 0; sample < 4; sample += 1) {
        const kind = random.below(16);
        const input = Float32Array.from(
          { length: 256 },
          (_, x) => Math.sin((x * (kind + 1)) / 40) + 0.3 * normal(random),
        );
        let values = input;
        for (const layer of layers) values = layer.forward(values);
        let error = values.map((value, o) => value - (o === kind ? 0.9 : -0.9));
        for (const layer of [...layers].reverse()) error = layer.backward(error);
      }
      for (const layer of layers) layer.adjust(step);
    }
    const file = join(directory, `checkpoint-${i}.safetensors`);
    writeFileSync(file, safetensors(layers));
    files.push(file);
  }
  return files;
}
