/** Two versions side by side: text with the words that differ, or hex. One version alone, too. */
import { bytes, dropped, fill, make, number, plural, Question, shownLine, trouble } from './page-base.js';

const GROUP = 16;

function pieces(marked, tag) {
  if (marked === null) return [];
  return marked.map((text, index) =>
    index % 2 === 0 || text === '' ? shownLine(text) : make(tag, { text: shownLine(text) }),
  );
}

function textRow([kind, ...rest], alone) {
  if (kind === '@') {
    return make(
      'tr',
      { class: 'skip' },
      make('td', { colspan: '4', text: `${plural(rest[0], 'equal line')} left out` }),
    );
  }
  const [left, right, one, other] = rest;
  const cells = [
    make('td', { class: 'at', text: right ?? '' }),
    make('td', { class: 'side new' }, ...pieces(other, 'ins')),
  ];
  if (alone) return make('tr', {}, ...cells);
  const before = [
    make('td', { class: 'at', text: left ?? '' }),
    make('td', { class: 'side old' }, ...pieces(one, 'del')),
  ];
  const name = { '~': 'changed', '-': 'removed', '+': 'added', '=': '' }[kind];
  return make('tr', { class: name ? `is-${name}` : null }, ...before, ...cells);
}

const octets = (hex) => hex.match(/../g) ?? [];
const sign = (hex) => {
  const code = Number.parseInt(hex, 16);
  return code >= 32 && code < 127 ? String.fromCharCode(code) : '·';
};

/** Stretches of bytes that are as on the other side, or not. */
function hexCells(own, other, tag, alone) {
  if (own === null)
    return [make('td', { class: 'side torn', text: 'damaged: cannot be read' }), make('td', { class: 'torn' })];
  const [bytesHere, bytesThere] = [octets(own), octets(other ?? '')];
  const coded = [];
  const plain = [];
  for (let from = 0; from < bytesHere.length; ) {
    const differs = !alone && bytesHere[from] !== bytesThere[from];
    let end = from + 1;
    while (end < bytesHere.length && (!alone && bytesHere[end] !== bytesThere[end]) === differs) end += 1;
    const part = bytesHere.slice(from, end);
    const [hexText, text] = [part.join(' '), part.map(sign).join('')];
    coded.push(differs ? make(tag, { text: hexText }) : hexText, end < bytesHere.length ? ' ' : '');
    plain.push(differs ? make(tag, { text }) : text);
    from = end;
  }
  return [make('td', { class: 'side' }, ...coded), make('td', { class: 'plain' }, ...plain)];
}

function hexRow({ offset, left, right }, alone, gap) {
  const cells = hexCells(right, left, 'ins', alone);
  const before = alone ? [] : hexCells(left, right, 'del', false);
  const at = make('td', { class: 'at', text: offset.toString(16).padStart(8, '0') });
  return make('tr', { class: gap ? 'gap' : null }, at, ...before, ...cells);
}

export class Diff {
  constructor(place) {
    this.place = place;
    this.question = new Question();
    this.query = null;
    this.hex = false;
    this.whole = false;
    this.change = -1;
  }

  async show(query) {
    this.query = query;
    this.change = -1;
    this.place.setAttribute('aria-busy', 'true');
    try {
      const extra = { hex: this.hex ? '1' : undefined, whole: this.whole ? '1' : undefined };
      const facts = await this.question.ask('view', { ...query, ...extra });
      this.draw(facts);
    } catch (error) {
      if (!dropped(error)) fill(this.place, trouble(error));
    } finally {
      this.place.removeAttribute('aria-busy');
    }
  }

  again(facts) {
    Object.assign(this, facts);
    if (this.query) void this.show(this.query);
  }

  draw(facts) {
    const alone = this.query.from === undefined;
    this.place.scrollTop = 0;
    const broken = facts.damaged
      ? make('p', {
          class: 'trouble',
          role: 'alert',
          text: `Damaged: ${facts.damaged.message} (${facts.damaged.code})`,
        })
      : null;
    if (facts.kind === 'same')
      return fill(this.place, this.note('The content is the same: mode, owner or time changed.'));
    if (facts.kind === 'none') return fill(this.place, this.note('No content: a directory, or removed.'));
    if (facts.kind === 'text') return fill(this.place, this.note(this.told(facts, alone)), this.text(facts, alone));
    const table = this.table(
      alone ? 'hex alone' : 'hex',
      alone ? 'Bytes of this version' : 'Bytes that differ, older version left, newer right',
    );
    fill(this.place, broken, this.note(this.told(facts, alone)), table);
    this.rows(facts, table.tBodies[0], alone, -GROUP);
  }

  note(text) {
    return make('p', { class: 'soft told', text });
  }

  told({ kind, left, right, added, removed, changed, cut, rows, next }, alone) {
    if (alone)
      return kind === 'hex'
        ? `${bytes(right?.size ?? 0)}, shown in hex`
        : `${plural(rows.length, 'line')}${cut ? ', cut here' : ''}`;
    if (kind === 'text')
      return `${plural(changed, 'line')} changed, ${number(added)} added, ${number(removed)} removed${cut ? '; cut here' : ''}`;
    const sizes = `${bytes(left?.size ?? 0)} → ${bytes(right?.size ?? 0)}`;
    return `${sizes}: ${next === null ? plural(rows.length, 'row') : `the first ${number(rows.length)} rows`} of 16 bytes that differ at the same offset`;
  }

  table(kind, caption) {
    return make('table', { class: kind }, make('caption', { text: caption }), make('tbody'));
  }

  text({ rows }, alone) {
    const table = this.table(
      alone ? 'text alone' : 'text',
      alone ? 'Lines of this version' : 'Lines, older version left, newer right',
    );
    const side = () => [make('col', { class: 'number' }), make('col')];
    table.tBodies[0].before(make('colgroup', {}, ...side(), ...(alone ? [] : side())));
    table.tBodies[0].append(...rows.map((row) => textRow(row, alone)));
    return table;
  }

  rows(facts, body, alone, last) {
    let before = last;
    for (const row of facts.rows) {
      body.append(hexRow(row, alone, before + GROUP !== row.offset && before >= 0));
      before = row.offset;
    }
    for (const { side, offset, message, code } of facts.damage) {
      body.append(
        make(
          'tr',
          {},
          make('td', {
            class: 'trouble',
            colspan: '5',
            text: `${side === 'left' ? 'older' : 'newer'} version, byte ${number(offset)}: ${message} (${code})`,
          }),
        ),
      );
    }
    if (facts.next === null) return;
    const label = facts.rows.length > 0 ? 'show more' : `no difference below ${bytes(facts.next)}: look on`;
    const more = make('button', { type: 'button', text: label });
    const line = make('tr', {}, make('td', { colspan: '5' }, more));
    more.addEventListener('click', async () => {
      more.disabled = true;
      try {
        const extra = this.hex ? { hex: '1' } : {};
        const next = await this.question.ask('view', { ...this.query, ...extra, offset: facts.next });
        line.remove();
        this.rows(next, body, alone, before);
      } catch (error) {
        if (!dropped(error)) line.replaceChildren(make('td', { colspan: '5' }, trouble(error)));
      }
    });
    body.append(line);
  }

  /** Goes to the next or previous change. */
  step(by) {
    const rows = [...this.place.querySelectorAll('tr[class^=is-], table.hex tr')];
    const starts = rows.filter(
      (row, index) => row.classList.contains('gap') || rows[index - 1] !== row.previousElementSibling || index === 0,
    );
    if (starts.length === 0) return;
    this.change = (this.change + by + starts.length) % starts.length;
    starts[this.change].scrollIntoView({ block: 'center' });
    this.place.querySelector('.here')?.classList.remove('here');
    starts[this.change].classList.add('here');
  }
}
