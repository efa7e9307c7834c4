#!/usr/bin/env node
/**
 * Starts the program from the file beside this one, with the compiled code that V8 kept of it where there is some:
 * compiling takes longer than most commands. CommonJS, as loading modules takes time too.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Script } from 'node:vm';
import { crc32 } from 'node:zlib';
import { evaluate, type Program } from './program-script.js';

/**
 * Names of the program's files, without their ending, each with the digest of the content: by the command that is alone in
 * it, and under '' the one that has all. Set when it is built.
 */
declare const PROGRAM_NAMES: Readonly<Record<string, string>>;

export interface LoadedProgram {
  readonly program: Program;
  readonly script: Script;
  /** Keeps what is compiled by now for those who start the program later. Throws where that cannot be written. */
  readonly keep: () => void;
}

/** Bytes of the checksum behind kept code: V8 does not notice damage, and runs it or ends the process. */
const CHECKSUM_BYTES = 4;

function keptCode(file: string): Buffer | undefined {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch {
    // Not kept: without it everything works, only later.
    return undefined;
  }
  const length = bytes.length - CHECKSUM_BYTES;
  if (length < 1) return undefined;
  const code = bytes.subarray(0, length);
  return crc32(code) === bytes.readUInt32LE(length) ? code : undefined;
}

function keepCode(file: string, code: Buffer): void {
  const checksum = Buffer.alloc(CHECKSUM_BYTES);
  checksum.writeUInt32LE(crc32(code));
  // Whoever starts the program while this is written finds all of it or nothing.
  const beside = `${file}.${process.pid}.tmp`;
  writeFileSync(beside, Buffer.concat([code, checksum]));
  renameSync(beside, file);
}

/**
 * Loads the program.
 *
 * @param command that it is going to run, by default any: the program may have no other
 * @param how `anew`: without code that was kept, so that what is kept afterwards is what this process has run
 */
export function load(command = '', how: { readonly anew?: boolean } = {}): LoadedProgram {
  const name = Object.hasOwn(PROGRAM_NAMES, command) ? PROGRAM_NAMES[command] : PROGRAM_NAMES[''];
  const file = join(__dirname, `${name}.js`);
  // V8 asks for its own version; bytes made on another processor could mislead it.
  const codeFile = join(__dirname, `${name}-${process.version}-${process.platform}-${process.arch}.cache`);
  const kept = how.anew === true ? undefined : keptCode(codeFile);
  const around = { require, file, directory: __dirname };
  const { program, script } = evaluate(readFileSync(file, 'latin1'), around, kept);
  return { program, script, keep: () => keepCode(codeFile, script.createCachedData()) };
}

if (require.main === module) load(process.argv[2]).program.start();
