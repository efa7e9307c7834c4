/** A finished message in memory. */
import { constants } from 'node:buffer';
import { DiffKeeperError } from '../core/core.js';
import type { EncodedState, StateFacts } from './state-types.js';

export function encodedState(facts: StateFacts, parts: readonly Buffer[]): EncodedState {
  return {
    ...facts,
    parts,
    toBuffer() {
      if (facts.messageBytes > constants.MAX_LENGTH) {
        throw new DiffKeeperError(
          'DK_LIMIT',
          `a message of ${facts.messageBytes} bytes fits no Buffer: use its parts`,
          {
            expected: constants.MAX_LENGTH,
            actual: facts.messageBytes,
          },
        );
      }
      return Buffer.concat(parts, facts.messageBytes);
    },
  };
}
