/** The two ways out: results on stdout (words or JSON lines), everything else on stderr. */
import { pathToText } from '../index.js';

export interface Output {
  readonly json: boolean;
  /** Whether colours and progress bars make sense on stderr. */
  readonly terminal: boolean;
  /** A line of the result for people; nothing in JSON mode. */
  line(text: string): void;
  /** One JSON line; nothing otherwise. `type` says what it is. */
  record(type: string, facts: object): void;
  /** A remark for people, on stderr, in both modes. */
  note(text: string): void;
}

export function createOutput(json: boolean): Output {
  return {
    json,
    terminal: process.stderr.isTTY === true,
    line: (text) => {
      if (!json) process.stdout.write(`${text}\n`);
    },
    record: (type, facts) => {
      if (json) process.stdout.write(`${JSON.stringify({ type, ...facts })}\n`);
    },
    note: (text) => void process.stderr.write(`${text}\n`),
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

/** A path for a terminal: control characters must not reach it. */
export function pathShown(path: string): string {
  return pathToText(path).replace(/[\u0000-\u001f\u007f-\u009f]/g, '\ufffd');
}
