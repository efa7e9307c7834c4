/** Parts of messages as lists and as streams. */
import type { MessageDictionaries } from './message-bounds.js';
import { corruptState, type StateHead, type StatePart } from './state-message.js';

export function headOf(part: StatePart | undefined): StateHead {
  if (part?.type !== 'head') throw corruptState('it has no head');
  return part.head;
}

/**
 * The check is at the end: nothing is done about a message before it was seen whole.
 * @param dictionaries gets those of the message
 */
export async function allParts(
  parts: AsyncIterable<StatePart>,
  dictionaries: MessageDictionaries,
): Promise<readonly StatePart[]> {
  const all: StatePart[] = [];
  for await (const part of parts) {
    if (part.type === 'dictionary') dictionaries.add(part.id, part.bytes);
    else all.push(part);
  }
  return all;
}

export async function* inOrder(parts: readonly StatePart[]): AsyncGenerator<StatePart> {
  yield* parts;
}

export async function* startingWith(first: StatePart, rest: AsyncIterable<StatePart>): AsyncGenerator<StatePart> {
  yield first;
  yield* rest;
}
