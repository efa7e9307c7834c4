/** The process under strace: runs one workload on a directory. Arguments: name, directory, `before` for what precedes it. */
import { closeSync, openSync, writeSync } from 'node:fs';
import type { Mark } from './trace.js';
import { live, WORKLOADS } from './workloads.js';

const [name = '', base = '', part = 'run'] = process.argv.slice(2);
const marks = openSync(process.env.DK_CRASH_MARKS as string, 'a');
const workload = WORKLOADS.find((one) => one.name === name);
if (!workload) throw new Error(`no workload ${name}`);
const say = (mark: Mark) => writeSync(marks, `${JSON.stringify(mark)}\n`);
await live(workload, part === 'before' ? 'before' : 'run', base, say);
closeSync(marks);
