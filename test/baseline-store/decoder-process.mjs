/**
 * A decoder in a process of its own, as the built package has it: reads messages from stdin (base64, one a line), says what
 * came of each (JSON, one a line). Argument: its store.
 */
import { createHash } from 'node:crypto';
import { createInterface } from 'node:readline';
import { openBaselineStore, openStore, StateDecoder } from '../../dist/esm/index.js';

const store = await openStore(process.argv[2], { create: true });
const decoder = new StateDecoder({ store: openBaselineStore(store) });
for await (const line of createInterface({ input: process.stdin })) {
  let told;
  try {
    const { kind, bytes } = await decoder.decode(Buffer.from(line, 'base64'));
    told = { kind, digest: createHash('sha256').update(bytes).digest('hex') };
  } catch (error) {
    told = { code: error.code, facts: error.facts };
  }
  process.stdout.write(`${JSON.stringify(told)}\n`);
}
await decoder.close();
await store.close();
