/** The memory that a BSDIFF40 delta takes: 6 bytes per source byte and the target, less in windows. */
import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { addonPath } from './addon-door.js';

const MIB = 1 << 20;
/** Threads, bzip2 blocks and what the allocator keeps. */
const SLACK = 30 * MIB;

/** Peak bytes beyond what stood before the call, of one diff of `mib` MiB with 1 % of the bytes changed. */
function peakOf(mib: number, windowBytes?: number): number {
  const program = `
    const fs = require('node:fs');
    const addon = require(${JSON.stringify(addonPath)});
    const { createCipheriv } = require('node:crypto');
    const source = createCipheriv('aes-128-ctr', Buffer.alloc(16), Buffer.alloc(16)).update(Buffer.alloc(${mib * MIB}));
    const target = Buffer.from(source);
    for (let at = 0; at < target.length; at += 100) target[at] ^= 1;
    const peak = () => Number(/VmHWM:\\s+(\\d+)/.exec(fs.readFileSync('/proc/self/status', 'latin1'))[1]) * 1024;
    fs.writeFileSync('/proc/self/clear_refs', '5');
    const before = peak();
    addon.bsdiffDiff(source, target${windowBytes === undefined ? '' : `, ${windowBytes}`}).then(() => console.log(peak() - before));
  `;
  const { stdout, stderr, status } = spawnSync(process.execPath, ['-e', program], { encoding: 'utf8' });
  expect(stderr).toBe('');
  expect(status).toBe(0);
  return Number(stdout);
}

describe('bsdiff', () => {
  it('takes 5 bytes per source byte beside source and target', () => {
    const peak = peakOf(12);
    expect(peak).toBeGreaterThan(4 * 12 * MIB);
    expect(peak).toBeLessThan(5 * 12 * MIB + SLACK);
  });

  it('takes 5 bytes per byte of a window, then the target once more', () => {
    expect(peakOf(12, 2 * MIB)).toBeLessThan(5 * 2 * MIB + 12 * MIB + SLACK);
  });
});
