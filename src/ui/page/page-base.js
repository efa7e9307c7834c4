/** What all parts of the page use: elements from data (never markup), formats, questions to the server. */

/** Controls and marks that turn text around must not disguise a name. */
const ODD = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;
export const shown = (text) =>
  text.replace(ODD, (sign) => (sign < ' ' ? String.fromCharCode(0x2400 + sign.charCodeAt(0)) : '\ufffd'));
export const shownLine = (text) => text.replace(ODD, (sign) => (sign === '\t' ? sign : shown(sign)));

export const get = (id) => document.getElementById(id);

/** An element; `facts` are attributes, or properties of functions, booleans and `text`. */
export function make(tag, facts = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(facts)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === 'text') element.textContent = value;
    else if (typeof value === 'function') element.addEventListener(name, value);
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export function fill(element, ...children) {
  element.replaceChildren(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const UNITS = ['B', 'KB', 'MB', 'GB', 'TB', 'PB'];
export function bytes(count) {
  let value = count;
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

export const number = (value) => value.toLocaleString('en-US');
export const plural = (value, noun) =>
  `${number(value)} ${value === 1 ? noun : noun.endsWith('y') ? `${noun.slice(0, -1)}ies` : `${noun}s`}`;
export const pause = (ms) =>
  ms < 10 ? `${ms.toFixed(1)} ms` : ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;

const two = (value) => String(value).padStart(2, '0');
const MONTHS = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ');
export function day(ms) {
  const date = new Date(ms);
  const year = date.getFullYear() === new Date().getFullYear() ? '' : ` ${date.getFullYear()}`;
  return `${date.getDate()} ${MONTHS[date.getMonth()]}${year}`;
}
export function clock(ms) {
  const date = new Date(ms);
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}
export const moment = (ms) => `${day(ms)} ${clock(ms)}`;

/** Length of a bar for a share of the largest: small things stay visible beside large ones. */
export const length = (value, largest) =>
  value <= 0 || largest <= 0 ? 0 : Math.max(0.02, Math.log1p(value / 64) / Math.log1p(largest / 64));

/** Asks the server; throws an Error with `code` and `status`. */
export async function ask(name, query = {}, signal = undefined) {
  const words = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== undefined));
  const answer = await fetch(`/api/${name}?${words}`, { signal });
  const facts = await answer.json().catch(() => ({ message: `the server says ${answer.status}` }));
  if (!answer.ok) throw Object.assign(new Error(facts.message), { code: facts.code, status: answer.status });
  return facts;
}

/** The newest question of its kind: an earlier one is dropped. */
export class Question {
  #stop = null;
  async ask(name, query) {
    this.#stop?.abort();
    const stop = new AbortController();
    this.#stop = stop;
    const facts = await ask(name, query, stop.signal);
    if (stop.signal.aborted) throw new DOMException('dropped', 'AbortError');
    return facts;
  }
}

export const dropped = (error) => error.name === 'AbortError';

export function say(text) {
  get('status').textContent = text;
}

/** What stands in place of something that could not be had. */
export function trouble(error) {
  const code = error.code ? ` (${error.code})` : '';
  return make('p', { class: 'trouble', role: 'alert', text: `${shown(error.message)}${code}` });
}
