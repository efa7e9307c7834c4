/** Door of the room `replicate`: a store followed by others, record by record. */
export {
  defineTransportMetrics,
  type LinkOptions,
  type ServeLinkOptions,
  type TransportTotals,
} from '../transport/transport.js';
export { Follower, type FollowFigures, type FollowOptions } from './follow.js';
export { type HostOptions, StoreHost } from './host.js';
export { pullOver, pushOver } from './push-pull.js';
export {
  followCounted,
  followStore,
  pullStore,
  pushStore,
  type RemoteOptions,
  type ServeOptions,
  type StoreServer,
  serveStore,
} from './remote.js';
export { type ReplicaNote, readNote } from './replica-note.js';
export { Traffic } from './traffic.js';
export type { SyncOptions, SyncReport } from './types.js';
