/**
 * Door of the room `transport`: sessions between two machines. One control stream, up to 256 data streams, blobs in
 * pieces of any order, each acknowledged when it is durable. Bytes on the wire: `docs/format-transport.md`.
 */
export { connect } from './connect.js';
export { listen } from './listen.js';
export type {
  BlobOffer,
  BlobSink,
  BlobSource,
  ConnectOptions,
  Listener,
  ListenOptions,
  Peer,
  Rights,
  SendOptions,
  Session,
  SessionFigures,
  SessionOptions,
  StreamRules,
  Trust,
} from './types.js';
