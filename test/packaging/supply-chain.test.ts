/** The bill of materials names what ships: every package of an installation, and the C in the addon. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { expect, it } from 'vitest';
import { projectRoot } from '../project/source-tree.js';

interface Bill {
  readonly bomFormat: string;
  readonly metadata: { readonly component: { readonly name: string } };
  readonly components: readonly { readonly name: string; readonly version: string; readonly description?: string }[];
}

it('names direct dependencies, what they bring, and vendored sources; no tool of ours', { timeout: 60_000 }, () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'dk-sbom-'));
  try {
    const out = path.join(folder, 'bill.json');
    const run = spawnSync(process.execPath, [path.join(projectRoot, 'scripts', 'sbom.mjs'), `--out=${out}`], {
      encoding: 'utf8',
    });
    expect(run.status, run.stderr).toBe(0);
    const bill: Bill = JSON.parse(readFileSync(out, 'utf8'));
    expect([bill.bomFormat, bill.metadata.component.name]).toEqual(['CycloneDX', 'diffkeeper']);
    const names = bill.components.map(({ name }) => name);
    const { dependencies } = JSON.parse(readFileSync(path.join(projectRoot, 'package.json'), 'utf8'));
    expect(names).toEqual(expect.arrayContaining([...Object.keys(dependencies), 'abstract-level', 'zstd-napi']));
    expect(names).not.toContain('vitest');
    const foreign = bill.components.filter(({ description }) => description?.startsWith('C sources of')).length;
    const pins: { parts: unknown[] }[] = JSON.parse(
      readFileSync(path.join(projectRoot, 'scripts', 'vendor.json'), 'utf8'),
    );
    expect(foreign).toBe(pins.flatMap(({ parts }) => parts).length);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
