/**
 * Runs `task` for every item, `atOnce` side by side, the next group when one is done; results in order. Rejects with
 * the first failure; the groups after that are not begun.
 */
export async function inGroups<Item, Result>(
  items: readonly Item[],
  atOnce: number,
  task: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  for (let first = 0; first < items.length; first += atOnce) {
    for (const result of await Promise.all(items.slice(first, first + atOnce).map((item) => task(item))))
      results.push(result);
  }
  return results;
}
