/**
 * Door of the room `transport`: sessions between two machines. One control stream, up to 256 data streams, blobs in
 * pieces of any order, each acknowledged when it is durable. Bytes on the wire: `docs/format-transport.md`.
 */
export { bytesBlob, type FileBlob, openFileBlob } from './blob-sources.js';
export { closeSoon } from './close-soon.js';
export { connect } from './connect.js';
export { CountedListener, type CountedOptions } from './counted-listener.js';
export type { ReceivedFile } from './file-inbox.js';
export { listen } from './listen.js';
export { checkPeerTrust, type PeerAddress, parsePeerAddress } from './peer-address.js';
export { type PingOptions, type PingReport, pingPeer } from './ping-peer.js';
export { createReceiver, type Receiver, type ReceiverOptions } from './receiver.js';
export { createSender, type Sender, type SenderOptions } from './sender.js';
export { SessionSums, type TransportTotals } from './session-sums.js';
export { defineTransportMetrics, registerTransportMetrics, type TransportMetricsOptions } from './transport-metrics.js';
export type {
  BlobOffer,
  BlobSink,
  BlobSource,
  ConnectOptions,
  DigestKind,
  LinkOptions,
  Listener,
  ListenOptions,
  Peer,
  Rights,
  SendOptions,
  ServeLinkOptions,
  Session,
  SessionFigures,
  SessionOptions,
  StreamRules,
  Trust,
} from './types.js';
