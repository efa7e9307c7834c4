/** Logs on stderr: pino where a log is wanted, and a few plain lines of warnings where it is not worth loading. */
import type { Logger } from '../index.js';

export interface LogOptions {
  /** Lowest level: `warn` for one-shot commands, `info` in run mode, `debug` on request. */
  readonly level: 'debug' | 'info' | 'warn';
  readonly form: 'human' | 'json';
}

function showValue(value: unknown): string {
  if (typeof value === 'number' && !Number.isInteger(value)) return value.toFixed(1);
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return /[\s"]/.test(text) ? JSON.stringify(text) : text;
}

/** `warn: message (key=value ...)`. */
function humanLine(level: string, facts: object, message: string): string {
  const known = Object.entries(facts).filter(([, value]) => value !== undefined && value !== null);
  const shown = known.map(([key, value]) => `${key}=${showValue(value)}`).join(' ');
  return `diffkeeper ${level}: ${message}${shown === '' ? '' : ` (${shown})`}\n`;
}

/** What pino adds to every line and people do not need. */
const PINO_KEYS: readonly string[] = ['level', 'time', 'pid', 'hostname', 'msg', 'name'];

function humanFromPino(line: string): string {
  const entry: unknown = JSON.parse(line);
  const all = Object.entries(typeof entry === 'object' && entry !== null ? entry : {});
  const facts = Object.fromEntries(all.filter(([key]) => !PINO_KEYS.includes(key)));
  const value = (key: string): string => String(all.find(([name]) => name === key)?.[1] ?? '');
  return humanLine(value('level'), facts, value('msg'));
}

const drop = (): void => {};
const writeError = (text: string): void => void process.stderr.write(text);

/** Logger of a command. */
export async function createLogger({ level, form }: LogOptions): Promise<Logger> {
  if (level === 'warn' && form === 'human') {
    const plain =
      (name: string) =>
      (facts: object, message: string): void =>
        writeError(humanLine(name, facts, message));
    return { debug: drop, info: drop, warn: plain('warn'), error: plain('error') };
  }
  const { pino } = await import('pino');
  const write = form === 'json' ? writeError : (line: string) => writeError(humanFromPino(line));
  // Narrowed before it is returned: a promise must not resolve to something that could have a `then`.
  const log: Logger = pino(
    { level, base: { name: 'diffkeeper', pid: process.pid }, formatters: { level: (label) => ({ level: label }) } },
    { write },
  );
  return log;
}
