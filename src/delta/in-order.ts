/** Work that runs side by side and is taken in order. */

export interface OrderedWork<T, R> {
  /** Items whose work may have begun before the oldest one's result is taken: with 1, two are worked on at a time. */
  readonly ahead: number;
  work(item: T): Promise<R>;
  /** One call at a time, in the order of the items. */
  take(result: R): Promise<void>;
}

/** Ends when everything is taken, or with the first error once no work runs any more. */
export async function inOrder<T, R>(items: AsyncIterable<T>, { ahead, work, take }: OrderedWork<T, R>): Promise<void> {
  const running: Promise<R>[] = [];
  const takeOldest = async (): Promise<void> => {
    const oldest = running[0];
    if (oldest === undefined) return;
    const result = await oldest;
    running.splice(0, 1);
    await take(result);
  };
  try {
    for await (const item of items) {
      const started = work(item);
      // A failure counts when its turn comes; until then it must not pass for unhandled.
      started.catch(() => undefined);
      running.push(started);
      if (running.length > ahead) await takeOldest();
    }
    while (running.length > 0) await takeOldest();
  } finally {
    await Promise.allSettled(running);
  }
}
