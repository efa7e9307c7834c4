/** Runs the two ends of a trial, and the programs that are compared. */
import { spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const ENDS = fileURLToPath(new URL('transport-ends.mjs', import.meta.url));
const PLAIN_LOOP = fileURLToPath(new URL('plain-loop.cc', import.meta.url));
const TIMEOUT_MS = 600_000;

/** @param {readonly string[]} prefix @param {object} job */
function startEnd(prefix, job) {
  const [command = '', ...args] = [...prefix, process.execPath, ENDS, JSON.stringify(job)];
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let stderr = '';
  child.stderr.on('data', (part) => {
    stderr += part;
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  /** The next line of JSON. @returns {Promise<any>} */
  const next = async () => {
    const late = new Promise((_, reject) => {
      setTimeout(() => reject(new Error('took too long')), TIMEOUT_MS).unref();
    });
    const { value, done } = await Promise.race([lines.next(), late]);
    if (done) throw new Error(`${JSON.stringify(job)}: ${stderr || 'ended without a result'}`);
    return JSON.parse(value);
  };
  return { next, end: () => child.kill('SIGKILL') };
}

/**
 * One transfer between two processes.
 * @param {object} receive
 * @param {object} send
 * @param {{ near?: readonly string[], far?: readonly string[], both?: boolean,
 *   reach?: (port: number) => Promise<{ host: string, port: number }> }} [how] commands in front of the ends;
 * `both`: the receiving end tells a result, too
 */
export async function transfer(receive, send, { near = [], far = [], both = false, reach } = {}) {
  const receiver = startEnd(far, receive);
  let sender;
  try {
    const { port } = await receiver.next();
    sender = startEnd(near, { ...send, ...(reach === undefined ? { port } : await reach(port)) });
    const sent = await sender.next();
    return { sent, received: both ? await receiver.next() : undefined };
  } finally {
    receiver.end();
    sender?.end();
  }
}

/**
 * Gigabits a second that iperf3 reaches, as gigabytes, and its processor seconds per gigabyte.
 * @param {number} streams
 * @param {{ bytes?: number, seconds?: number, host?: string, near?: readonly string[], far?: readonly string[] }} options
 */
export async function iperf(streams, { bytes, seconds, host = '127.0.0.1', near = [], far = [] }) {
  const port = 20_000 + Math.floor(Math.random() * 20_000);
  return beside([...far, 'iperf3', '-s', '-1', '-p', `${port}`], () => {
    const amount = bytes === undefined ? ['-t', `${seconds}`] : ['-n', `${bytes}`];
    const [client = '', ...args] = [
      ...near,
      'iperf3',
      '-c',
      host,
      '-p',
      `${port}`,
      '-P',
      `${streams}`,
      ...amount,
      '-J',
    ];
    const run = spawnSync(client, args, { encoding: 'utf8', timeout: TIMEOUT_MS, maxBuffer: 1 << 26 });
    const { end, error } = JSON.parse(run.stdout || '{}');
    if (!end) throw new Error(`iperf3: ${error ?? run.stderr}`);
    const { bytes: received, seconds: took } = end.sum_received;
    const { host_total: ours, remote_total: theirs } = end.cpu_utilization_percent;
    return { rate: received / took / 1e9, cpuPerGb: (((ours + theirs) / 100) * took) / (received / 1e9) };
  });
}

/**
 * Does something while a server runs, which is given half a second to begin.
 * @template T
 * @param {readonly string[]} command
 * @param {() => T | Promise<T>} task
 */
export async function beside([program = '', ...args], task) {
  const server = spawn(program, args, { stdio: 'ignore' });
  try {
    await new Promise((resolve, reject) => {
      server.once('error', reject);
      setTimeout(resolve, 500);
    });
    return await task();
  } finally {
    server.kill('SIGKILL');
  }
}

/** Seconds that a command takes. @param {string} command @param {readonly string[]} args */
export function timedCommand(command, args) {
  const start = performance.now();
  const run = spawnSync(command, args, { encoding: 'utf8', timeout: TIMEOUT_MS });
  if (run.status !== 0) throw new Error(`${command}: ${run.stderr || run.error?.message || run.signal}`);
  return (performance.now() - start) / 1000;
}

/**
 * Makes the plain loop with the system's compiler when it is first asked for. What is returned gives the program, or
 * throws what kept it from being made, each time.
 * @param {string} directory
 */
export function buildPlainLoop(directory) {
  const program = join(directory, 'plain-loop');
  /** @type {{ program?: string, error?: unknown } | undefined} */
  let made;
  const make = () => {
    try {
      timedCommand('c++', ['-O2', '-std=c++17', '-o', program, PLAIN_LOOP]);
      return { program };
    } catch (error) {
      return { error };
    }
  };
  return () => {
    made ??= make();
    if (made.program === undefined) throw made.error;
    return made.program;
  };
}

/** Seconds that the plain loop takes for a file, until it is synced. @param {string} program @param {string} file @param {string} copy */
export async function plainLoop(program, file, copy) {
  const receiver = spawn(program, ['receive', copy], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    /** @type {string} */
    const port = await new Promise((resolve, reject) => {
      receiver.stdout.once('data', (line) => resolve(`${line}`.trim()));
      receiver.once('exit', () => reject(new Error('the plain loop did not start')));
    });
    return timedCommand(program, ['send', file, port]);
  } finally {
    receiver.kill('SIGKILL');
  }
}
