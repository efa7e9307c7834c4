/** `engine`: which implementation runs. */
import { EXIT_CODES, engineInfo } from '../index.js';
import type { CommandContext } from './context.js';

export async function run({ output }: CommandContext): Promise<number> {
  const info = engineInfo();
  output.record('engine', info);
  output.line(`engine    ${info.kind}`);
  output.line(`simd      ${info.simd}`);
  output.line(`threads   ${info.threads}`);
  for (const [name, version] of Object.entries(info.versions)) output.line(`${name.padEnd(9)} ${version}`);
  if (info.path !== undefined) output.line(`file      ${info.path}`);
  if (info.fallbackReason !== undefined) output.line(`because   ${info.fallbackReason}`);
  return EXIT_CODES.ok;
}
