/** docs/limits.md names every bound of the library with its value. */
import { expect, it } from 'vitest';
import { LIMITS } from '../../src/core/core.js';
import { readText } from './source-tree.js';

it('the page of limits says what the code says', () => {
  const rows = [...readText('docs/limits.md').matchAll(/^\| `(\w+)` \| ([\d,]+) \| \S/gm)];
  const said = Object.fromEntries(rows.map(([, name, value]) => [name, Number(value?.replaceAll(',', ''))]));
  expect(said).toEqual({ ...LIMITS });
});
