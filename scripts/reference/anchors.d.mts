/** The anchors that the headings of a Markdown text get where it is shown. */
export declare function anchorsOf(markdown: string): string[];
