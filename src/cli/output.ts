/** The two ways out: results on stdout (words or JSON lines), everything else on stderr. */
import { type BytePath, pathToText } from '../index.js';
import { shown } from './shown-text.js';

export interface Output {
  readonly json: boolean;
  /** Whether colours and progress bars make sense on stderr. */
  readonly terminal: boolean;
  /** A line of the result for people; nothing in JSON mode. What would do something to a terminal is replaced. */
  line(text: string): void;
  /** As `line`, as it is: for what is coloured here. Everything in it that comes from elsewhere must have been `shown`. */
  drawn(text: string): void;
  /** One JSON line; nothing otherwise. `type` says what it is. */
  record(type: string, facts: object): void;
  /** A remark of one line for people, on stderr, in both modes. What would do something to a terminal is replaced. */
  note(text: string): void;
}

export function createOutput(json: boolean): Output {
  return {
    json,
    terminal: process.stderr.isTTY === true,
    line: (text) => {
      if (!json) process.stdout.write(`${shown(text)}\n`);
    },
    drawn: (text) => {
      if (!json) process.stdout.write(`${text}\n`);
    },
    record: (type, facts) => {
      if (json) process.stdout.write(`${JSON.stringify({ type, ...facts })}\n`);
    },
    note: (text) => void process.stderr.write(`${shown(text)}\n`),
  };
}

/** A path for JSON: text, and its bytes in base64 when they are not UTF-8. */
export function pathFacts(path: string): { readonly path: string; readonly pathBase64?: string } {
  const text = pathToText(path);
  const bytes = Buffer.from(path, 'latin1');
  return bytes.equals(Buffer.from(text, 'utf8'))
    ? { path: text }
    : { path: text, pathBase64: bytes.toString('base64') };
}

/** A path for a terminal. */
export function pathShown(path: BytePath): string {
  return shown(pathToText(path));
}
