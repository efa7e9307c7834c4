/** What the project tests read: the files git knows or would add, and their imports. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const projectRoot = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

/** Paths below the project's root, ignored ones left out; git lists a file that was just deleted, so existence counts. */
export function projectFiles(pattern: RegExp): string[] {
  const listed = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '-z'], {
    cwd: projectRoot,
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  const names = new Set(listed.split('\0').filter((name) => name !== '' && pattern.test(name)));
  return [...names].filter((name) => existsSync(join(projectRoot, name))).sort();
}

export function readText(name: string): string {
  return readFileSync(join(projectRoot, name), 'utf8');
}

export function lineCount(name: string): number {
  const text = readText(name);
  return text.split('\n').length - (text.endsWith('\n') ? 1 : 0);
}

/** The code with comments blanked, line breaks kept; strings stay, and what looks like a comment in them too. */
export function withoutComments(code: string): string {
  const parts = /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`/g;
  return code.replace(parts, (part) => (part.startsWith('/') ? part.replace(/[^\n]/g, ' ') : part));
}

/** Module names that a file imports, re-exports or requires, with the line of each. */
export function importsOf(name: string): { readonly target: string; readonly line: number }[] {
  const code = withoutComments(readText(name));
  const forms = /(?:\bfrom\s*|\bimport\s*|\bimport\s*\(\s*|\brequire\s*\(\s*)(['"])([^'"\n]+)\1/g;
  return [...code.matchAll(forms)].map((match) => ({
    target: match[2] ?? '',
    line: code.slice(0, match.index).split('\n').length,
  }));
}
