/**
 * Divides a plan into stages: what is decoded in one call. Blobs that need each other are in one stage where that is
 * possible: what lies between the ends of a chain then never leaves the engine.
 */
import { PlanNode } from './plan-node.js';

/** Coded records and results of one stage, roughly. */
const STAGE_BYTES = 8 << 20;
/** Decoded bytes of blobs that hang together: at worst the engine holds all of them at once. */
const GROUP_BYTES_MAX = 32 << 20;

/** Blobs to be decoded together, lowest depth first. */
export interface Stage {
  readonly nodes: PlanNode[];
  /** Blobs of later stages need what the `needs` of these say. */
  readonly keeps: boolean;
}

/**
 * @param groupBytesMax a group with more decoded bytes is divided by depth
 * @returns the stages, and how many bytes these keep for each other
 */
export function stagesOf(
  nodes: readonly PlanNode[],
  groupBytesMax = GROUP_BYTES_MAX,
): { readonly stages: Stage[]; readonly keptBytes: number } {
  const whole = new StageList(false);
  const divided = new StageList(true);
  let keptBytes = 0;
  const large: PlanNode[] = [];
  for (const group of groupsOf([...nodes].sort(byDepthAndPlace))) {
    const bytes = group.reduce((sum, node) => sum + node.info.decodedBytes, 0);
    if (bytes <= groupBytesMax) whole.add(group);
    else for (const node of group) large.push(node);
  }
  let depth = -1;
  for (const node of large.sort(byDepthAndPlace)) {
    if (node.info.depth !== depth) divided.begin();
    depth = node.info.depth;
    keptBytes += node.settle();
    divided.add([node]);
  }
  return { stages: [...whole.stages, ...divided.stages], keptBytes };
}

class StageList {
  readonly stages: Stage[] = [];
  readonly #keeps: boolean;
  #left = 0;

  constructor(keeps: boolean) {
    this.#keeps = keeps;
  }

  begin(): void {
    this.#left = 0;
  }

  /** Blobs that stay together. */
  add(nodes: readonly PlanNode[]): void {
    if (this.#left <= 0) {
      this.stages.push({ nodes: [], keeps: this.#keeps });
      this.#left = STAGE_BYTES;
    }
    const stage = this.stages.at(-1) as Stage;
    for (const node of nodes) {
      stage.nodes.push(node);
      this.#left -= Math.max(node.info.recordBytes, node.resultBytes);
    }
  }
}

/** Blobs that need each other, directly or not, each group and the groups in the order of the nodes. */
function groupsOf(nodes: readonly PlanNode[]): PlanNode[][] {
  for (const node of nodes) {
    for (const below of node.below) if (below instanceof PlanNode) join(node, below);
  }
  const groups = new Map<PlanNode, PlanNode[]>();
  for (const node of nodes) {
    const head = headOf(node);
    const group = groups.get(head);
    if (group) group.push(node);
    else groups.set(head, [node]);
  }
  return [...groups.values()];
}

function join(one: PlanNode, other: PlanNode): void {
  headOf(one).head = headOf(other);
}

/** The node that stands for a group, by paths that get shorter with each walk. */
function headOf(node: PlanNode): PlanNode {
  let at = node;
  while (at.head !== at) {
    at.head = at.head.head;
    at = at.head;
  }
  return at;
}

function byDepthAndPlace({ info: one }: PlanNode, { info: other }: PlanNode): number {
  return one.depth - other.depth || one.pack - other.pack || one.offset - other.offset;
}
