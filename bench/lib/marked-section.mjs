/** Sections of docs/performance.md that programs of their own make: each stands between two marks and is replaced alone. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';

/** @param {string} name */
const endMark = (name) => `<!-- end of ${name} -->`;

/**
 * The marked section of a document, to be kept when the rest is made again; empty when there is none.
 * @param {string} text
 * @param {string} name
 */
export function sectionOf(text, name) {
  const start = text.indexOf(`<!-- ${name}: made by `);
  const end = text.indexOf(endMark(name));
  return start < 0 || end < start ? '' : text.slice(start, end + endMark(name).length);
}

/**
 * Puts a section into a document, in place of the one before or at the end.
 * @param {string} file
 * @param {{ name: string, program: string, text: string }} section
 */
export function writeSection(file, { name, program, text }) {
  const whole = existsSync(file) ? readFileSync(file, 'utf8') : '# Performance\n';
  const before = sectionOf(whole, name);
  const section = `<!-- ${name}: made by ${program} -->\n${text.trimEnd()}\n${endMark(name)}`;
  writeFileSync(file, before === '' ? `${whole.trimEnd()}\n\n${section}\n` : whole.replace(before, () => section));
}
