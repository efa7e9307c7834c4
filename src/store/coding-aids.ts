/** What an open store remembers of its content, from one transaction to the next, to code new content with. */
import { DictionaryChoice } from './dictionary-choice.js';
import { SimilarBlobs } from './similar-blobs.js';

export interface CodingAids {
  readonly dictionaries: DictionaryChoice;
  readonly similar: SimilarBlobs;
}

export function codingAids(parts: ConstructorParameters<typeof DictionaryChoice>[0]): CodingAids {
  return { dictionaries: new DictionaryChoice(parts), similar: new SimilarBlobs(parts) };
}
