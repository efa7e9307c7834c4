/** Who is trusted on the way to another machine, as the options say. */
import { readFile } from 'node:fs/promises';
import { DiffKeeperError, type Trust } from '../index.js';
import type { Settings } from './settings.js';

type TrustSettings = Pick<Settings, 'tlsCert' | 'tlsKey' | 'tlsCa' | 'pskFile' | 'plaintext'>;

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
