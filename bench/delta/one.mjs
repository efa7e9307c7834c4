// One diff or one patch by the library, in a process of its own; what the call itself cost goes to call.json in the temporary
// directory, and to stdout.
//
//   node one.mjs diff EFFORT SOURCE TARGET DELTA
//   node one.mjs patch - SOURCE DELTA TARGET
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { diff, patch } from '../../dist/esm/index.js';

const [verb, effort, first, second, out] = process.argv.slice(2);
const [source, other] = [readFileSync(first), readFileSync(second)];
// A process that runs has made deltas before; the first one loads the addon and compiles the code.
const [some, more] = [Buffer.alloc(300_000, 'some'), Buffer.alloc(300_000, 'more ')];
await patch(some, await diff(some, more));
if (verb === 'diff') await diff(some.subarray(0, 30_000), more.subarray(0, 30_000), { effort });
let report;
const cpu = process.cpuUsage();
const begin = performance.now();
const made =
  verb === 'diff'
    ? await diff(source, other, {
        effort,
        onReport: (told) => {
          report = told;
        },
      })
    : await patch(source, other);
const callMs = performance.now() - begin;
const { user, system } = process.cpuUsage(cpu);
writeFileSync(out, made);
const cost = JSON.stringify({ callMs, callCpuMs: (user + system) / 1000, engine: report?.engine });
writeFileSync(join(process.env.TMPDIR ?? '.', 'call.json'), cost);
process.stdout.write(cost);
