/**
 * A delta of two buffers: which engine was taken and why, how small it is, and what happens when it is applied to the
 * wrong source.
 *
 *   node examples/delta-buffers.mjs
 */
import { diff, inspectDelta, isDiffKeeperError, patch } from 'diffkeeper';

const source = Buffer.from(Array.from({ length: 20_000 }, (_, i) => `line ${i}: nothing happened\n`).join(''));
const target = Buffer.from(
  source.toString().replace('line 777: nothing', 'line 777: something').replace('line 9', 'row 9'),
);

const delta = await diff(source, target, { effort: 'balanced' });
const { engine, targetBytes } = await inspectDelta(delta);
console.log(`${targetBytes} bytes in a delta of ${delta.length}, made by ${engine}`);

const again = await patch(source, delta);
console.log(`the same again: ${again.equals(target)}`);

try {
  await patch(target, delta);
} catch (error) {
  if (!isDiffKeeperError(error)) throw error;
  console.log(`applied to other bytes: ${error.code}`);
}
