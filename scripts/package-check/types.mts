// Compiled, never run: what a user's compiler makes of the declarations, copied under three names (.mts, .cts, .ts).
import {
  type CaptureReport,
  capture,
  type DiffKeeperError,
  diff,
  type EngineInfo,
  engineInfo,
  isDiffKeeperError,
  openStore,
  patch,
  type RecoverReport,
  recover,
  type Store,
} from 'diffkeeper';

export async function keep(directory: string, storePath: string): Promise<readonly [CaptureReport, RecoverReport]> {
  const store: Store = await openStore(storePath, { create: true });
  try {
    return [await capture(store, directory), await recover(store, `${directory}.restored`, { at: 1 })] as const;
  } finally {
    await store.close();
  }
}

export async function same(source: Uint8Array, target: Uint8Array): Promise<boolean> {
  const result: Buffer = await patch(source, await diff(source, target, { engine: 'zstd' }));
  return result.equals(target);
}

export function reasonOf(error: unknown): DiffKeeperError['code'] | undefined {
  return isDiffKeeperError(error) ? error.code : undefined;
}

const info: EngineInfo = engineInfo();
export const kind: 'native' | 'typescript' = info.kind;

// @ts-expect-error: a level is a number, so a lost declaration (everything `any`) is found here
void diff(new Uint8Array(), new Uint8Array(), { level: 'high' });
