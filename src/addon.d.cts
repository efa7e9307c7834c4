/**
 * Loads the native addon: a local build first, then the prebuild of this
 * platform. Throws what the loader throws when there is none or it does not load.
 */
export declare function loadAddon(): {
  /** The raw exports of the addon: nothing is known about them until they were checked. */
  readonly addon: unknown;
  /** File that was loaded. */
  readonly path: string;
};
