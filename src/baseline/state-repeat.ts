/** The answer to a decoder that lacks something: the baseline of a key as a full message, with all dictionaries of its class. */
import { DiffKeeperError, isDiffKeeperError } from '../core/core.js';
import { encodedState } from './encoded-state.js';
import type { Reference } from './reference.js';
import { kindsOf } from './state-digest.js';
import { type CoderParts, headOf, levelsOf, type Plan, readySegments } from './state-plan.js';
import type { EncodedState, StateDigest } from './state-types.js';
import { StateWriter } from './state-writer.js';

/** Undefined when the baseline is gone, or damaged. */
export async function repeatBaseline(parts: CoderParts, key: string): Promise<EncodedState | undefined> {
  const { settings, baselines, counters } = parts;
  const reference = (await baselines.find(key))?.reference;
  if (reference === undefined) return undefined;
  const { stateBytes } = reference;
  const keyClass = settings.classOf(key);
  const planFor = (digestKind: StateDigest): Plan => ({
    ...{ key, keyClass, source: undefined, carries: true, codingMs: 0, levelled: false, digestKind },
    ...levelsOf(parts, keyClass, { stateBytes, source: undefined }),
    input: { stateBytes, owned: true, segments: segmentsOf(reference), close: async () => {} },
  });
  try {
    let message: EncodedState | undefined;
    for (const kind of kindsOf(reference.digest, settings.digest)) {
      message ??= await written(parts, planFor(kind), reference);
    }
    if (message === undefined)
      settings.logger.error({ key }, 'the baseline of a key is damaged and is not used any more');
    else counters.resyncs += 1;
    return message;
  } catch (error) {
    if (isDiffKeeperError(error, 'DK_NOT_FOUND')) return undefined;
    throw error;
  }
}

async function written(parts: CoderParts, plan: Plan, reference: Reference): Promise<EncodedState | undefined> {
  const { settings, dictionaries } = parts;
  const { id, segmentBytes, stateBytes } = reference;
  const { digestKind = settings.digest } = plan;
  const head = headOf(settings, plan, { digestKind, baselineId: id, segmentBytes, digests: stateBytes > segmentBytes });
  const writer = new StateWriter(settings.engine, head);
  const pieces = await writer.head();
  for (const { id: number, bytes } of dictionaries.all(plan.keyClass)) {
    pieces.push(...(await writer.dictionary(number, bytes)));
  }
  for await (const segment of readySegments(parts, plan)) {
    pieces.push(...(await writer.segment(segment)));
  }
  const end = writer.end();
  return end.digest.equals(reference.digest) ? encodedState(end.facts, [...pieces, ...end.parts]) : undefined;
}

async function* segmentsOf(reference: Reference): AsyncGenerator<Uint8Array> {
  const { stateBytes, segmentBytes } = reference;
  if (stateBytes === 0) yield new Uint8Array(0);
  for (let at = 0; at < stateBytes; at += segmentBytes) {
    const segment = await reference.read(at, Math.min(segmentBytes, stateBytes - at));
    if (segment === undefined) throw new DiffKeeperError('DK_NOT_FOUND', 'the bytes of a baseline are gone');
    yield segment;
  }
}
