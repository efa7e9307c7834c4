/** The process under strace: runs one workload on a directory. Arguments: name, directory, `before` for what precedes it. */
import { closeSync, openSync, writeSync } from 'node:fs';
import type { Mark } from './trace.js';
import { WORKLOADS } from './workloads.js';

const [name = '', base = '', part = 'run'] = process.argv.slice(2);
const marks = openSync(process.env.DK_CRASH_MARKS as string, 'a');
const workload = WORKLOADS.find((one) => one.name === name);
const work = part === 'before' ? workload?.before : workload?.run;
if (!work) throw new Error(`no workload ${name}`);
await work(base, (mark: Mark) => writeSync(marks, `${JSON.stringify(mark)}\n`));
closeSync(marks);
