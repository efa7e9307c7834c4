/** Who is trusted on the way to another machine, and how what is sent gets there, as the options say. */
import { readFile } from 'node:fs/promises';
import { DiffKeeperError, type DigestKind, type LinkOptions, type LinkStreams, type Trust } from '../index.js';
import { argumentError } from './failure.js';
import { SHAPES } from './option-shapes.js';
import type { Settings } from './settings.js';

type TrustSettings = Pick<Settings, 'tlsCert' | 'tlsKey' | 'tlsCa' | 'pskFile' | 'plaintext'>;
type LinkSettings = TrustSettings & Pick<Settings, 'streams' | 'rateLimit' | 'serverName'>;

const STREAMS_MAX = 256;
const FACTOR_MAX = 16;

function refuse(message: string, path?: string, cause?: unknown): DiffKeeperError {
  return new DiffKeeperError('DK_CONFIG', message, path === undefined ? {} : { path }, cause);
}

async function read(flag: string, file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw refuse(
      `--${flag}: cannot read ${file}: ${error instanceof Error ? error.message : String(error)}`,
      file,
      error,
    );
  }
}

/** Lines of `NAME:HEX`; empty ones and those that begin with # do not count. Throws DK_CONFIG. */
export function parseKeys(text: string, file: string): Map<string, Buffer> {
  const keys = new Map<string, Buffer>();
  for (const [index, line] of text.split('\n').entries()) {
    const trimmed = line.trim();
    if (trimmed === '' || trimmed.startsWith('#')) continue;
    const match = /^([^:\s]{1,128}):((?:[0-9a-fA-F]{2})+)$/.exec(trimmed);
    if (!match?.[1] || !match[2]) throw refuse(`${file}, line ${index + 1}: expected NAME:HEX`, file);
    keys.set(match[1], Buffer.from(match[2], 'hex'));
  }
  if (keys.size === 0) throw refuse(`${file} has no key`, file);
  return keys;
}

/** Exactly one of certificates, keys and plaintext. Throws DK_CONFIG. */
export async function trustOf({ tlsCert, tlsKey, tlsCa, pskFile, plaintext }: TrustSettings): Promise<Trust> {
  const tls = [tlsCert, tlsKey, tlsCa];
  const withTls = tls.some((file) => file !== undefined);
  const ways = [withTls, pskFile !== undefined, plaintext].filter(Boolean).length;
  if (ways !== 1) {
    const what = ways === 0 ? 'say whom to trust' : 'only one of these';
    throw refuse(`${what}: --tls-cert, --tls-key and --tls-ca, or --psk-file, or --plaintext on this machine`);
  }
  if (plaintext) return { plaintext: true };
  if (pskFile !== undefined) return { keys: parseKeys(await read('psk-file', pskFile), pskFile) };
  if (tlsCert === undefined || tlsKey === undefined || tlsCa === undefined) {
    throw refuse('certificates need all of --tls-cert, --tls-key and --tls-ca');
  }
  return {
    certificate: await read('tls-cert', tlsCert),
    key: await read('tls-key', tlsKey),
    authority: await read('tls-ca', tlsCa),
  };
}

/** `auto` (undefined), `8`, `4-32`, `4-32:8`, `4-32:8:1.5`. Throws DK_ARGUMENT. */
export function parseStreams(text: string): LinkStreams | undefined {
  if (text === 'auto') return undefined;
  const [, low, high = low, first, factor] = /^(\d+)(?:-(\d+)(?::(\d+)(?::([\d.]+))?)?)?$/.exec(text) ?? [];
  const [minimum, maximum, initial, scaling] = [low, high, first ?? low, factor ?? '2'].map(Number) as [
    number,
    number,
    number,
    number,
  ];
  const ordered = 1 <= minimum && minimum <= initial && initial <= maximum && maximum <= STREAMS_MAX;
  if (!ordered || !(scaling > 1 && scaling <= FACTOR_MAX)) {
    throw argumentError('--streams', `got "${text}"; allowed: ${SHAPES.streams.words}`);
  }
  return { minimum, maximum, ...(first !== undefined && { initial }), ...(factor !== undefined && { scaling }) };
}

/** `--digest` of one command. Throws DK_ARGUMENT. */
export function digestChoice(value: unknown): { readonly digest?: DigestKind } {
  if (value === undefined) return {};
  if (value === 'xxh3' || value === 'blake3') return { digest: value };
  throw argumentError('--digest', `got "${String(value)}"; allowed: xxh3, blake3`);
}

/** How other machines are reached, or reach this one. Throws DK_CONFIG, DK_ARGUMENT. */
export async function linkOf(settings: LinkSettings): Promise<LinkOptions> {
  const { rateLimit, serverName } = settings;
  const streams = parseStreams(settings.streams);
  return {
    trust: await trustOf(settings),
    ...(streams && { streams }),
    ...(rateLimit !== undefined && { rateLimit: rateLimit * 2 ** 20 }),
    ...(serverName !== undefined && { serverName }),
  };
}
