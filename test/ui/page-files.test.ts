/** The page as it is shipped: up to date, small, free of what its policy forbids. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { pageFile } from '../../src/ui/page-file.js';
import { PAGE_TEXTS } from '../../src/ui/page-texts.js';
import { projectFiles, projectRoot, readText } from '../project/source-tree.js';

const PAGE_BYTES_MAX = 60 * 1024;

describe('the files of the page', () => {
  it('are those in src/ui/page', async () => {
    const { pageTexts } = (await import('../../scripts/page-texts.mjs' as string)) as { pageTexts(): Promise<string> };
    const text = readFileSync(`${projectRoot}/src/ui/page-texts.ts`, 'utf8');
    expect(text === (await pageTexts()), 'run `node scripts/page-texts.mjs`').toBe(true);
  });

  it(`are less than ${PAGE_BYTES_MAX} bytes together`, () => {
    const bytes = Object.values(PAGE_TEXTS).reduce((sum, text) => sum + Buffer.byteLength(text), 0);
    expect(bytes).toBeGreaterThan(10_000);
    expect(bytes).toBeLessThan(PAGE_BYTES_MAX);
  });

  it('never make markup of data', () => {
    for (const name of projectFiles(/^src\/ui\/page\/.*\.(js|html)$/)) {
      expect(readText(name), name).not.toMatch(
        /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc/,
      );
      expect(readText(name), name).not.toMatch(/\son\w+=|style="|https?:\/\/(?!www\.w3\.org)/);
    }
  });

  it('are found by their path and nothing else is', () => {
    expect(pageFile('/')?.type).toBe('text/html; charset=utf-8');
    expect(pageFile('/page-main.js')?.type).toBe('text/javascript; charset=utf-8');
    for (const name of ['/toString', '/__proto__', '/index.html/', '//', '/../x'])
      expect(pageFile(name)).toBeUndefined();
  });
});
