/** Logs on stderr: lines for people, which a program of short runs writes itself, and JSON by pino for machines. */
import type { Logger } from '../index.js';
import { shown } from './shown-text.js';

export interface LogOptions {
  /** Lowest level: `warn` for one-shot commands, `info` in run mode, `debug` on request. */
  readonly level: 'debug' | 'info' | 'warn';
  readonly form: 'human' | 'json';
}

function showValue(value: unknown): string {
  if (typeof value === 'number' && !Number.isInteger(value)) return value.toFixed(1);
  const text = typeof value === 'object' && !(value instanceof Error) ? jsonOf(value) : String(value);
  return /[\s"]/.test(text) ? JSON.stringify(text) : text;
}

/** What JSON cannot say is no reason to lose a line. */
function jsonOf(value: object | null): string {
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return String(value);
  }
}

/** `warn: message (key=value ...)`. */
function humanLine(level: string, facts: object, message: string): string {
  const known = Object.entries(facts).filter(([, value]) => value !== undefined && value !== null);
  const values = known.map(([key, value]) => `${key}=${showValue(value)}`).join(' ');
  return `${shown(`diffkeeper ${level}: ${message}${values === '' ? '' : ` (${values})`}`)}\n`;
}

const drop = (): void => {};
const writeError = (text: string): void => void process.stderr.write(text);

/** Logger of a command. */
export async function createLogger({ level, form }: LogOptions): Promise<Logger> {
  if (form === 'human') {
    const plain =
      (name: string) =>
      (facts: object, message: string): void =>
        writeError(humanLine(name, facts, message));
    return {
      debug: level === 'debug' ? plain('debug') : drop,
      info: level === 'warn' ? drop : plain('info'),
      warn: plain('warn'),
      error: plain('error'),
    };
  }
  const { pino } = await import('pino');
  // Narrowed before it is returned: a promise must not resolve to something that could have a `then`.
  const log: Logger = pino(
    { level, base: { name: 'diffkeeper', pid: process.pid }, formatters: { level: (label) => ({ level: label }) } },
    { write: writeError },
  );
  return log;
}
