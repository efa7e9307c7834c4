/**
 * A life on a disk that fails somewhere; prints what came of it as JSON.
 * Arguments: directory, `plain` or `encrypted`, name of the life, `before` or `run`.
 */
import { LIVES, Life } from './fault-lives.js';

const [base = '', way = '', name = '', part = ''] = process.argv.slice(2);
const chosen = LIVES.find((one) => one.name === name);
if (!chosen) throw new Error(`no life ${name}`);
const life = new Life(base, way === 'encrypted');
await (part === 'before' ? chosen.before?.(life) : chosen.run(life));
process.stdout.write(JSON.stringify(life.report));
