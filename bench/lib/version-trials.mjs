/**
 * The frame of all scenarios in which a state goes through versions: each version is made once and captured by every
 * tool before the next is made; the order of the tools turns with version and trial; what comes back is compared with
 * what was there.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { attempt, openOutcomes, turned } from './outcomes.mjs';
import { runStep, timeSteps } from './timed-run.mjs';
import { differences, manifestOf, usageOf } from './tree-manifest.mjs';
import { settleDisk, toolEnvironment } from './workspace.mjs';

/**
 * @typedef {import('./bench-types.js').Tool} Tool
 * @typedef {import('./bench-types.js').Place} Place
 * @typedef {import('./bench-types.js').Sample} Sample
 * @typedef {import('./tree-manifest.mjs').Manifest} Manifest
 */

/** States in all of a quick run, the first included: what takes its time is starting programs, for each of them. */
const QUICK_VERSIONS = 3;

/**
 * States in all, the first included.
 * @param {number} full
 * @param {boolean} quick
 */
export const versionCount = (full, quick) => (quick ? Math.min(full, QUICK_VERSIONS) : full);

/** One scenario with its trials, from the first version to the proof of the last. */
export class VersionTrials {
  /** @type {Sample[]} */
  samples = [];
  /** Size of the state at the newest version. */
  state = { files: 0, bytes: 0, largestBytes: 0 };
  #plan;
  #context;
  #folder = '';

  /**
   * @param {import('./bench-types.js').VersionPlan} plan
   * @param {import('./bench-types.js').RunContext} context
   */
  constructor(plan, context) {
    this.#plan = plan;
    this.#context = context;
    this.tools = openOutcomes(context.tools);
  }

  /** Runs all trials. A tool that fails takes no further part; all others go on. */
  async run() {
    const { trials, workspace } = this.#context;
    for (let trial = 1; trial <= trials; trial += 1) {
      this.#folder = workspace.place(this.#plan.name, `trial-${trial}`);
      await this.#trial(trial);
      if (this.#plan.removeAfterTrial) rmSync(this.#folder, { recursive: true });
    }
    return { state: this.state, tools: this.tools, samples: this.samples };
  }

  /** @param {number} trial */
  async #trial(trial) {
    const { say, scale } = this.#context;
    const { name, make, change, after, unchanging = false } = this.#plan;
    const versions = versionCount(this.#plan.versions, this.#context.quick);
    const state = join(this.#folder, 'state');
    mkdirSync(state);
    const places = await this.#openPlaces(state);
    const middle = 1 + (versions >> 1);
    /** @type {Manifest} */
    let older = new Map();
    for (let version = 1; version <= versions; version += 1) {
      say(`${name}: trial ${trial}, version ${version} of ${versions}`);
      await (version === 1 ? make(state, scale) : change(state, version, scale));
      if (version === middle && trial === 1) older = manifestOf(state);
      for (const tool of this.#willing(version + trial)) {
        await attempt(this.tools[tool.name], () => this.#capture(tool, places, { trial, version }));
      }
    }
    const { files, bytes, largestBytes } = usageOf(state);
    this.state = { files, bytes, largestBytes };
    await attempt(this.tools.diffkeeper, async () => {
      if (after) this.samples.push(...(await after(this.#context, trial, places)));
    });
    const newest = manifestOf(state);
    for (const tool of this.#willing(trial)) {
      await attempt(this.tools[tool.name], async () => {
        await this.#recover(tool, places, { trial, version: null, expected: newest });
        const again = trial === 1 && !unchanging;
        if (again) await this.#recover(tool, places, { trial, version: middle, expected: older });
      });
    }
  }

  /** @param {number} turn */
  #willing(turn) {
    return turned(this.#context.tools, turn).filter(({ name }) => this.tools[name]?.status === 'verified');
  }

  /** @param {string} state */
  async #openPlaces(state) {
    /** @type {Map<import('./bench-types.js').ToolName, Place>} */
    const places = new Map();
    for (const tool of this.#willing(0)) {
      const store = join(this.#folder, tool.name, 'store');
      mkdirSync(store, { recursive: true });
      const env = toolEnvironment(this.#context.workspace, join(this.#folder, tool.name, 'caches'));
      const place = { state, store, env };
      places.set(tool.name, place);
      await attempt(this.tools[tool.name], async () => {
        for (const step of tool.prepare(place)) await runStep(step, env);
      });
    }
    return places;
  }

  /**
   * @param {Tool} tool
   * @param {ReadonlyMap<string, Place>} places
   * @param {{ trial: number, version: number }} which
   */
  async #capture(tool, places, { trial, version }) {
    const place = /** @type {Place} */ (places.get(tool.name));
    const before = usageOf(place.store);
    settleDisk(this.#folder);
    const cost = await timeSteps(tool.capture(place, version), place.env);
    const now = usageOf(place.store);
    this.samples.push({
      tool: tool.name,
      trial,
      version,
      step: version === 1 ? 'first' : 'later',
      ...cost,
      addedBytes: now.bytes - before.bytes,
      addedDiskBytes: now.diskBytes - before.diskBytes,
    });
  }

  /**
   * Brings a version back, compares it, and counts the time when it is the newest.
   * @param {Tool} tool
   * @param {ReadonlyMap<string, Place>} places
   * @param {{ trial: number, version: number | null, expected: Manifest }} which
   */
  async #recover(tool, places, { trial, version, expected }) {
    const place = /** @type {Place} */ (places.get(tool.name));
    const target = join(this.#folder, tool.name, `back-${version ?? 'newest'}`);
    mkdirSync(target);
    settleDisk(this.#folder);
    const cost = await timeSteps(tool.recover(place, version, target), place.env);
    const found = differences(expected, manifestOf(target, tool.leaves));
    if (found.length > 0) {
      const what = version === null ? 'the newest version' : `version ${version}`;
      throw new Error(`what came back of ${what} differs: ${found.join('; ')}`);
    }
    if (version === null) this.samples.push({ tool: tool.name, trial, version: 0, step: 'recover', ...cost });
    const outcome = this.tools[tool.name];
    if (outcome) outcome.verifiedTrees += 1;
  }
}
