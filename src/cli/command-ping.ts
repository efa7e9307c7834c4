/** `ping`: whether a listener is there and lets us in. */
import { EXIT_CODES, pingPeer } from '../index.js';
import type { CommandContext } from './context.js';
import { argumentError } from './failure.js';
import { linkOf } from './link-options.js';
import { checkValue } from './option-check.js';

const RIGHTS_SHOWN = { read: 'may read', append: 'may append', admin: 'is admin' } as const;

/** Milliseconds. Throws DK_ARGUMENT. */
export function parseTimeout(value: unknown): number | undefined {
  if (value === undefined) return undefined;
  const facts = { kind: 'duration', flag: 'timeout', help: '', fallback: undefined, min: 1, max: 600_000 } as const;
  const timeoutMs = checkValue(facts, value);
  if (typeof timeoutMs === 'number') return Math.ceil(timeoutMs);
  throw argumentError('--timeout', `got "${String(value)}"; allowed: a time such as 500ms or 5s, up to 10m`);
}

export async function run({ settings, words, local, output, signal }: CommandContext): Promise<number> {
  const [address = ''] = words;
  const handshakeMs = parseTimeout(local.timeout);
  const link = {
    ...(await linkOf(settings)),
    ...(handshakeMs !== undefined && { handshakeMs }),
  };
  const report = await pingPeer(address, { link, signal });
  const { host, port, name, rights, version, connectMs, roundTripMs } = report;
  output.record('ping', report);
  const times = `connected in ${connectMs.toFixed(1)} ms, answers in ${roundTripMs.toFixed(2)} ms`;
  output.line(`${host}:${port} (${name}): ${times}; protocol ${version}, this side ${RIGHTS_SHOWN[rights]}`);
  return EXIT_CODES.ok;
}
