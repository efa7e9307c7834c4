/** The key of an encrypted store, from files or the environment. */
import type { StoreKey } from '../index.js';
import { argumentError } from './failure.js';
import type { Settings } from './settings.js';

const VARIABLE = 'DIFFKEEPER_PASSPHRASE';

/** Taken out of the environment, so that neither the application nor a hook finds it there. */
const passphrase = process.env[VARIABLE] ?? '';
delete process.env[VARIABLE];

/** Options `encrypt` and `key` of a store; files go before the environment. Throws DK_ARGUMENT. */
export function keyOptions(settings: Pick<Settings, 'encrypt' | 'passphraseFile' | 'keyFile'>): {
  readonly encrypt: boolean;
  readonly key?: StoreKey;
} {
  const { encrypt, passphraseFile, keyFile } = settings;
  const key = keyOfFiles(passphraseFile, keyFile) ?? (passphrase === '' ? undefined : { passphrase });
  return key === undefined ? { encrypt } : { encrypt, key };
}

/** Throws DK_ARGUMENT when both are given. */
export function keyOfFiles(passphraseFile: string | undefined, keyFile: string | undefined): StoreKey | undefined {
  if (passphraseFile !== undefined && keyFile !== undefined) {
    throw argumentError('--key-file', 'give a passphrase file or a key file, not both');
  }
  if (passphraseFile !== undefined) return { passphraseFile };
  return keyFile === undefined ? undefined : { keyFile };
}
