/** Where links into a Markdown document lead. */

/** What is text and no code. @param {string} markdown */
const prose = (markdown) => markdown.replace(/^```[\s\S]*?^```/gm, '');

/**
 * The anchors that headings get where Markdown is shown: lower case, signs left out, blanks as dashes, the same one again with a
 * number; and those that are written out.
 * @param {string} markdown
 * @returns {string[]}
 */
export function anchorsOf(markdown) {
  /** @type {Map<string, number>} */
  const seen = new Map();
  const headings = [...prose(markdown).matchAll(/^#{1,6} +(.*)$/gm)].map(([, heading = '']) => {
    const words = heading
      .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .trim()
      .toLowerCase();
    const anchor = words.replace(/[^\p{L}\p{N}\s_-]/gu, '').replace(/\s/g, '-');
    const before = seen.get(anchor) ?? 0;
    seen.set(anchor, before + 1);
    return before === 0 ? anchor : `${anchor}-${before}`;
  });
  return [...headings, ...[...markdown.matchAll(/<a id="([^"]+)"/g)].map(([, id = '']) => id)];
}
