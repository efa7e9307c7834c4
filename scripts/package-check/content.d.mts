/** Types of content.mjs for the tests. */
export interface SourceLists {
  readonly own: readonly string[];
  readonly vendor: readonly string[];
  readonly vendorX64: readonly string[];
  readonly vendorArm64: readonly string[];
}
export declare function nameProblems(
  names: readonly string[],
  lists: SourceLists,
  prebuilds: readonly string[],
): string[];
export declare function byteProblems(name: string, bytes: Uint8Array, folders: readonly string[]): string[];
