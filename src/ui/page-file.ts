/** The files of the page. They are kept as text in one module, so that they are found from any bundle. */
import { PAGE_TEXTS } from './page-texts.js';

const TYPES: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  svg: 'image/svg+xml',
};

export interface PageFile {
  readonly type: string;
  readonly text: string;
}

/** The file at this path of the address; `/` is the page itself. Undefined when there is none. */
export function pageFile(pathname: string): PageFile | undefined {
  // Browsers ask for a favicon beside whatever is no page, such as a download.
  const name = { '/': 'index.html', '/favicon.ico': 'icon.svg' }[pathname] ?? pathname.slice(1);
  if (!Object.hasOwn(PAGE_TEXTS, name)) return undefined;
  return { type: TYPES[name.slice(name.lastIndexOf('.') + 1)] ?? 'text/plain', text: PAGE_TEXTS[name] ?? '' };
}
