/** `key`: the keys that open an encrypted store, and its master key. */
import {
  addStoreKey,
  changeStoreKey,
  EXIT_CODES,
  type KeyRotation,
  listStoreKeys,
  removeStoreKey,
  rotateStoreKey,
  type StoreKey,
} from '../index.js';
import type { CommandContext } from './context.js';
import { argumentError } from './failure.js';
import { keyOfFiles, keyOptions } from './store-key.js';

const ACTIONS = ['list', 'add', 'change', 'remove', 'rotate'];

export async function run(context: CommandContext): Promise<number> {
  const { output, words } = context;
  const { keys, ...rotated } = await act(context, words[0]);
  for (const { id, kind, created } of keys) {
    output.record('key', { id, kind, created });
    output.line(`${id}  ${kind.padEnd(10)}  ${created}`);
  }
  if (rotated.masterKey !== undefined) tellRotation(context, rotated.masterKey, rotated.olderKeys ?? []);
  return EXIT_CODES.ok;
}

function tellRotation({ output }: CommandContext, masterKey: number, olderKeys: readonly number[]): void {
  output.record('masterKey', { masterKey, olderKeys });
  const older = olderKeys.length === 0 ? 'no pack needs an older one' : `packs still need ${olderKeys.join(', ')}`;
  output.line(`master key ${masterKey} from now on; ${older}`);
}

/** What a rotation tells, of the other actions the keys alone. */
type Done = Pick<KeyRotation, 'keys'> & Partial<KeyRotation>;

async function act(context: CommandContext, action: string | undefined): Promise<Done> {
  const { settings, local } = context;
  const { store } = settings;
  if (action === 'list') return { keys: await listStoreKeys(store) };
  if (action === undefined || !ACTIONS.includes(action)) {
    throw argumentError('action', `got "${action ?? ''}"; allowed: ${ACTIONS.join(', ')}`);
  }
  const { key } = keyOptions(settings);
  if (key === undefined) {
    throw argumentError(
      '--passphrase-file',
      `${action} needs a key that opens the store: this, --key-file, or DIFFKEEPER_PASSPHRASE`,
    );
  }
  if (action === 'remove') return { keys: await removeStoreKey(store, key, numberOf(local.id)) };
  const fresh = newKey(local);
  if (action === 'rotate') {
    const dropOthers = local.dropOthers === true;
    return rotateStoreKey(store, key, { ...(fresh && { replacement: fresh }), others: otherKeys(local), dropOthers });
  }
  if (fresh === undefined) throw argumentError('--new-key-file', 'give the new key: this or --new-passphrase-file');
  return { keys: await (action === 'add' ? addStoreKey : changeStoreKey)(store, key, fresh) };
}

function newKey(local: CommandContext['local']): StoreKey | undefined {
  const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
  return keyOfFiles(text(local.newPassphraseFile), text(local.newKeyFile));
}

function otherKeys(local: CommandContext['local']): StoreKey[] {
  const texts = (value: unknown): string[] =>
    Array.isArray(value) ? value.filter((one) => typeof one === 'string') : [];
  const passphrases = texts(local.otherPassphraseFile).map((passphraseFile) => ({ passphraseFile }));
  return [...passphrases, ...texts(local.otherKeyFile).map((keyFile) => ({ keyFile }))];
}

function numberOf(id: unknown): number {
  const number = Number(id);
  if (typeof id !== 'string' || !Number.isSafeInteger(number) || number < 1) {
    throw argumentError('--id', 'give the number of the key, as `key list` shows it');
  }
  return number;
}
