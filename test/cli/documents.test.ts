import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { COMMAND_TABLE } from '../../src/cli/command-table.js';
import { OPTION_TABLE } from '../../src/cli/option-table.js';
import * as api from '../../src/index.js';

const doc = (name: string): Promise<string> => readFile(new URL(`../../docs/${name}`, import.meta.url), 'utf8');

describe('documents', () => {
  it('errors.md explains exactly the codes there are', async () => {
    const explained = [...(await doc('errors.md')).matchAll(/^\| `(DK_\w+)`/gm)].map((match) => match[1]);
    expect(explained.sort()).toEqual([...api.ERROR_CODES].sort());
  });

  it('cli.md has every command, option and exit code', async () => {
    const text = await doc('cli.md');
    for (const { name, local = [] } of COMMAND_TABLE) {
      expect(text).toContain(`| \`${name}`);
      for (const { flags } of local) expect(text).toContain(flags.split(' ')[0]);
    }
    for (const option of Object.values(OPTION_TABLE)) {
      expect(text).toContain(`| \`--${option.negated ? 'no-' : ''}${option.flag}\``);
    }
    for (const code of Object.values(api.EXIT_CODES)) expect(text).toContain(String(code));
  });

  it('api.md has every export', async () => {
    const text = await doc('api.md');
    for (const name of Object.keys(api)) expect(text).toMatch(new RegExp(`\\b${name}\\b`));
  });
});
