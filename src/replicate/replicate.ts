/** Door of the room `replicate`: a store followed by others, record by record. */
export { Follower, type FollowFigures, type FollowOptions } from './follow.js';
export { type HostOptions, StoreHost } from './host.js';
export { pullOver, pushOver } from './push-pull.js';
export {
  followStore,
  type LinkOptions,
  pullStore,
  pushStore,
  type RemoteOptions,
  type ServeLinkOptions,
  type ServeOptions,
  type StoreServer,
  serveStore,
} from './remote.js';
export { type ReplicaNote, readNote } from './replica-note.js';
export type { SyncOptions, SyncReport } from './types.js';
