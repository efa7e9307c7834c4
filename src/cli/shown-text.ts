/** Text from stores, file names and elsewhere, as a terminal may have it. Imports nothing: it is there before the library is. */

/** C0 with its newline, DEL, C1; what turns the direction of writing, or ends a line. */
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** Text of one line for a terminal: what would do something to it, or begin another line, is replaced. */
export function shown(text: string): string {
  return text.replace(CONTROLS, '\ufffd');
}

/** As `shown`, of text that may have several lines. */
export function shownLines(text: string): string {
  return text.split('\n').map(shown).join('\n');
}
