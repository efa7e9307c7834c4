/**
 * The public API of DiffKeeper: re-exports only.
 * @module
 */

export type {
  BaselineRules,
  BaselineStore,
  BaselineWriter,
  DecodedState,
  EncodedState,
  MessageInput,
  RegisteredStateMetrics,
  StateDecoderMetrics,
  StateDecoderMetricsSource,
  StateDecoderOptions,
  StateDigest,
  StateEncoderOptions,
  StateEngineChoice,
  StateEngineName,
  StateFacts,
  StateInput,
  StateMetrics,
  StateMetricsOptions,
  StateMetricsSource,
  StoredBaseline,
} from './baseline/baseline.js';
export {
  classOfKey,
  registerStateDecoderMetrics,
  registerStateMetrics,
  StateDecoder,
  StateEncoder,
} from './baseline/baseline.js';
export { openBaselineStore } from './baseline-store/baseline-store.js';
export type {
  CaptureOptions,
  CaptureProgress,
  CaptureReport,
  CaptureRun,
  CaptureSession,
  CaptureSkip,
  FreezePoint,
  LeftOutCounts,
  RetentionOptions,
  SpacingFacts,
  StateWatcher,
  WatchOptions,
  WatchState,
} from './capture/capture.js';
export { capture, openCaptureSession, watch } from './capture/capture.js';
export type { BytePath, Clock, ErrorCode, ErrorFacts, Logger } from './core/core.js';
export {
  DiffKeeperError,
  ERROR_CODES,
  isDiffKeeperError,
  LIMITS,
  pathFromText,
  pathToText,
} from './core/core.js';
export type {
  BareDiffFileOptions,
  BareDiffOptions,
  BareFileInfo,
  BareFormat,
  BarePatchOptions,
  DeltaCandidate,
  DeltaChoice,
  DeltaEngineName,
  DeltaFileInfo,
  DeltaInfo,
  DeltaProgress,
  DeltaReport,
  DiffFileOptions,
  DiffOptions,
  DigestOptions,
  PairEvidence,
  PatchFileOptions,
  PatchFileReport,
  PatchOptions,
  SampleSizes,
} from './delta/delta.js';
export {
  deltaFormat,
  diff,
  diffBare,
  diffBareFile,
  diffFile,
  digest,
  inspectDelta,
  inspectDeltaFile,
  patch,
  patchBare,
  patchFile,
} from './delta/delta.js';
export type { Effort, Engine, EngineInfo, GroupDigestKind, HashAlgo, TensorRegion } from './engine/engine.js';
export { engineInfo, loadEngine } from './engine/load.js';
export type { Checkpoint, Digest, Extent, Recipe, Version, VersionType } from './format/format.js';
export { VERSION_TYPE } from './format/format.js';
export type {
  Backup,
  BackupKind,
  BackupOptions,
  BackupSnapshot,
  DamageKind,
  ExportOptions,
  ExportReport,
  ExportSink,
  MigratedPart,
  MigrationDamage,
  MigrationReport,
  OpenOptions,
} from './migrate/migrate.js';
export {
  exportBolt,
  exportTar,
  finalizeMigration,
  importedStorePath,
  migratedTotals,
  openBackup,
  openStoreOrImport,
  openStoreToRead,
  readMigrationReport,
  unpackTar,
} from './migrate/migrate.js';
export type {
  PlanOptions,
  ReadFileOptions,
  RecoverDamage,
  RecoverOptions,
  RecoverPlan,
  RecoverRemoval,
  RecoverReport,
} from './recover/recover.js';
export { planRecover, readFileAt, recover } from './recover/recover.js';
export type {
  Follower,
  FollowFigures,
  RemoteOptions,
  ServeOptions,
  StoreServer,
  SyncOptions,
  SyncReport,
} from './replicate/replicate.js';
export { followStore, pullStore, pushStore, serveStore } from './replicate/replicate.js';
export type { Consistency, OrphanMode, RecoverMode, ReplicaTarget, SidecarOptions } from './sidecar/sidecar.js';
export { EXIT_CODES, runSidecar } from './sidecar/sidecar.js';
export type {
  BlobContext,
  BlobInfo,
  BlobInput,
  CacheGuard,
  CommitFacts,
  CondenseOptions,
  CondenseReport,
  DamageReport,
  EntriesOptions,
  KeyKind as StoreKeyKind,
  KeyRotation,
  MendedFacts,
  OnUnreadable,
  PackLiveness,
  PruneOptions,
  PrunePolicy,
  PruneReport,
  QuarantineItem,
  QuarantineReport,
  RebuildOptions,
  RebuildReport,
  RotateOptions,
  ShareOptions,
  Sharing,
  StatsOptions,
  Store,
  StoreKey,
  StoreKeyFacts,
  StoreOptions,
  StoreSavings,
  StoreStats,
  Transaction,
  UnreadableVersion,
  VerifyOptions,
  VerifyReport,
  VersionReader,
  VersionSummary,
} from './store/store.js';
export {
  addStoreKey,
  changeStoreKey,
  condense,
  keptSequences,
  listStoreKeys,
  openStore,
  prune,
  removeStoreKey,
  rotateStoreKey,
  shareStore,
  tagSharedStore,
} from './store/store.js';
export type {
  BlobOffer,
  BlobSink,
  BlobSource,
  DigestKind,
  LinkOptions,
  Peer,
  PeerAddress,
  PingOptions,
  PingReport,
  ReceivedFile,
  Receiver,
  ReceiverOptions,
  Rights as PeerRights,
  Sender,
  SenderOptions,
  SendOptions,
  ServeLinkOptions,
  SessionOptions,
  StreamRules as LinkStreams,
  TransportMetricsOptions,
  TransportTotals,
  Trust,
} from './transport/transport.js';
export {
  createReceiver,
  createSender,
  parsePeerAddress,
  pingPeer,
  registerTransportMetrics,
} from './transport/transport.js';
export type { UiOptions, UiServer } from './ui/ui.js';
export { serveUi } from './ui/ui.js';
