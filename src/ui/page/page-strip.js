/** The whole history at a glance: bytes stored, pauses, tags; where we are in it. */
import { ask, get, length, moment, number, pause, shown } from './page-base.js';

const BAR = 3;

export class Strip {
  constructor({ go }) {
    this.lane = get('lane');
    this.canvas = this.lane.firstElementChild;
    this.facts = null;
    this.total = 0;
    this.at = 0;
    this.window = [0, 0];
    const jump = (event) =>
      go(Math.min(this.total - 1, Math.max(0, Math.floor((event.offsetX / this.lane.clientWidth) * this.total))));
    this.lane.addEventListener('pointerdown', (event) => {
      this.lane.setPointerCapture(event.pointerId);
      jump(event);
    });
    this.lane.addEventListener('pointermove', (event) => {
      if (this.lane.hasPointerCapture(event.pointerId)) jump(event);
      else this.hint(event);
    });
    this.lane.addEventListener('keydown', (event) => {
      const wide = Math.max(1, Math.round(this.total / 50));
      const step = {
        ArrowLeft: -1,
        ArrowDown: -1,
        ArrowRight: 1,
        ArrowUp: 1,
        PageDown: -wide,
        PageUp: wide,
        Home: -this.total,
        End: this.total,
      }[event.key];
      if (step === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      event.stopPropagation();
      go(Math.min(this.total - 1, Math.max(0, this.at + step)));
    });
    new ResizeObserver(() => void this.load()).observe(this.lane);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.draw());
  }

  async load(total = this.total) {
    this.total = total;
    if (total === 0) return;
    this.facts = await ask('density', { buckets: Math.max(1, Math.floor(this.lane.clientWidth / BAR)) }).catch(
      () => this.facts,
    );
    const times = this.facts?.times ?? [];
    const [first, last] = get('span').children;
    first.textContent = times.length > 0 ? moment(times[0]) : '';
    last.textContent = times.length > 0 ? moment(times.at(-1)) : '';
    this.draw();
  }

  place(position, row) {
    this.at = position;
    const lane = this.lane;
    lane.setAttribute('aria-valuemin', '1');
    lane.setAttribute('aria-valuemax', String(this.total));
    lane.setAttribute('aria-valuenow', String(position + 1));
    if (row) lane.setAttribute('aria-valuetext', `checkpoint ${row[0]}, ${moment(row[1])}`);
    this.draw();
  }

  show(oldest, newest) {
    this.window = [oldest, newest];
    this.draw();
  }

  hint(event) {
    const { facts } = this;
    if (!facts) return;
    const bucket = Math.min(
      facts.stored.length - 1,
      Math.floor((event.offsetX / this.lane.clientWidth) * facts.stored.length),
    );
    const near = facts.tags.find(([position]) => Math.floor((position * facts.stored.length) / this.total) === bucket);
    const still = facts.pauses[bucket] > 0 ? `, pause ${pause(facts.pauses[bucket])}` : '';
    this.lane.title = `${moment(facts.times[bucket])}, up to ${number(facts.stored[bucket])} bytes stored${still}${near ? `, ${shown(near[1])}` : ''}`;
  }

  draw() {
    const { canvas, facts, lane, total } = this;
    const [width, height] = [lane.clientWidth, lane.clientHeight];
    const ratio = devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
    if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
    const pen = canvas.getContext('2d');
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    if (!facts || total === 0) return;
    const style = getComputedStyle(document.documentElement);
    const paint = (name) => style.getPropertyValue(name).trim();
    const x = (position) => (position / total) * width;
    pen.fillStyle = paint('--window');
    pen.fillRect(x(this.window[0]), 0, Math.max(2, x(this.window[1] + 1) - x(this.window[0])), height);
    const cell = width / facts.stored.length;
    const largest = Math.max(...facts.stored, 1);
    const floor = height - 1;
    const wide = Math.max(1, Math.min(cell - 1, 14));
    const left = (index) => index * cell + (cell - wide) / 2;
    pen.fillStyle = paint('--bar');
    for (const [index, stored] of facts.stored.entries()) {
      const tall = length(stored, largest) * (height - 16);
      pen.fillRect(left(index), floor - tall, wide, tall);
    }
    pen.fillStyle = paint('--warm');
    const longest = Math.max(...facts.pauses);
    for (const [index, ms] of facts.pauses.entries()) {
      if (ms > 0) pen.fillRect((index + 0.5) * cell - 1, 0, 2, 3 + 11 * (ms / longest));
    }
    pen.fillStyle = paint('--accent');
    for (const [position] of facts.tags) {
      pen.fillRect(x(position + 0.5), 1, 1, height - 2);
      pen.fillRect(x(position + 0.5), 1, 6, 4);
    }
    pen.fillStyle = paint('--ink');
    pen.fillRect(Math.min(width - 2, x(this.at + 0.5) - 1), 0, 2, height);
  }
}
