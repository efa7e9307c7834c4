import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { splitArguments } from '../../src/cli/arguments.js';
import { COMMAND_TABLE } from '../../src/cli/command-table.js';
import { flagsOf } from '../../src/cli/flag-list.js';
import { OPTION_TABLE } from '../../src/cli/option-table.js';
import * as api from '../../src/index.js';
import { projectFiles, readText } from '../project/source-tree.js';

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

  it.each(projectFiles(/^(docs|deploy|examples)\/|^[A-Z]+\.md$/).filter((name) => !/\.(png|svg)$/.test(name)))(
    '%s: the commands in it exist, with these options',
    (name) => {
      // A line that goes on in the next one is one line; a command ends with its line, its quotes, or where a shell would end it.
      const text = readText(name).replace(/\\\n\s*/g, ' ');
      const commands = [...text.matchAll(/(?:^|[`'"$(])\s*(?:\$ )?diffkeeper ((?:-|[a-z])[^`\n|&;)#]*)/gm)];
      const wrong = commands.flatMap(([line, words = '']) => {
        const { head } = splitArguments(words.trim().split(/\s+/));
        const facts = COMMAND_TABLE.find((one) => one.name === head[0]);
        if (facts === undefined) return head.some((word) => word.startsWith('--') && word.includes('=')) ? [line] : [];
        const known = flagsOf(facts).map(({ flag }) => flag);
        const used = head.filter((word) => /^--[a-z]/.test(word)).map((word) => word.replace(/[^-a-z].*$/, ''));
        return used.filter((flag) => !known.includes(flag)).map((flag) => `${facts.name} ${flag}: ${line.trim()}`);
      });
      expect(wrong).toEqual([]);
    },
  );

  it('api.md has every export', async () => {
    const text = await doc('api.md');
    for (const name of Object.keys(api)) expect(text).toMatch(new RegExp(`\\b${name}\\b`));
  });
});
