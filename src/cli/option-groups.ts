/** Options that several commands share. */
import type { OptionKey } from './option-table.js';

export const GENERAL: readonly OptionKey[] = ['debug', 'logFormat', 'json'];
export const STORE: readonly OptionKey[] = ['store', 'enableDiff', 'passphraseFile', 'keyFile', ...GENERAL];
/** Who is trusted on the way to other machines, and how what is sent gets there. */
export const SERVE_LINK: readonly OptionKey[] = [
  'tlsCert',
  'tlsKey',
  'tlsCa',
  'pskFile',
  'plaintext',
  'streams',
  'rateLimit',
];
/** The same for who connects. */
export const LINK: readonly OptionKey[] = [...SERVE_LINK, 'serverName'];
