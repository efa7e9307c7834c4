/** Options that several commands share. */
import type { OptionKey } from './option-table.js';

export const GENERAL: readonly OptionKey[] = ['debug', 'logFormat', 'json'];
export const STORE: readonly OptionKey[] = ['store', 'enableDiff', 'passphraseFile', 'keyFile', ...GENERAL];
/** Who is trusted on the way to another machine. */
export const LINK: readonly OptionKey[] = ['tlsCert', 'tlsKey', 'tlsCa', 'pskFile', 'plaintext'];
