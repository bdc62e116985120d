// Reads the Prometheus text format strictly: what is not of the format, or is said twice, is an error.

type Family = { readonly type: string; readonly help: string };

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const SAMPLE = new RegExp(`^(${NAME})(?:\\{(.*)\\})? (-?(?:\\d|\\+Inf|NaN).*)$`);
const LABEL = /^([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"(?:,|$)/;

export class Scrape {
  readonly families = new Map<string, Family>();
  readonly #samples = new Map<string, number>();

  constructor(text: string) {
    if (!text.endsWith('\n')) throw new Error('the last line has an end');
    let family = '';
    for (const line of text.split('\n')) {
      const [, kind = '', name = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? [];
      if (line === '') continue;
      if (kind === 'HELP') {
        if (this.families.has(name)) throw new Error(`${name} comes twice`);
        this.families.set(name, { type: '', help: rest });
      } else if (kind === 'TYPE') {
        family = name;
        this.families.set(name, { type: rest, help: this.families.get(name)?.help ?? '' });
      } else this.#sample(line, family);
    }
  }

  /** The value of one series; 0 when there is none. */
  get(name: string, labels: Readonly<Record<string, string>> = {}): number {
    return this.#samples.get(key(name, labels)) ?? 0;
  }

  /** All series of a metric: their labels, without the braces → value. */
  series(name: string): ReadonlyMap<string, number> {
    const found = [...this.#samples].filter(([series]) => series.split('{')[0] === name);
    return new Map(found.map(([series, value]) => [series.slice(name.length + 1, -1), value]));
  }

  #sample(line: string, family: string): void {
    const [, name = '', text = '', value = ''] = SAMPLE.exec(line) ?? [];
    if (name === '') throw new Error(`no line of the format: ${line}`);
    const ofHistogram = this.families.get(family)?.type === 'histogram';
    const base = ofHistogram ? name.replace(/_(?:bucket|sum|count)$/, '') : name;
    if (base !== family) throw new Error(`${name} stands under ${family}`);
    const series = key(name, labelsOf(text));
    if (this.#samples.has(series)) throw new Error(`${series} comes twice`);
    this.#samples.set(series, value === '+Inf' ? Number.POSITIVE_INFINITY : Number(value));
  }
}

function labelsOf(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  for (let rest = text; rest !== '';) {
    const [whole, name = '', value = ''] = LABEL.exec(rest) ?? [];
    if (whole === undefined || Object.hasOwn(labels, name)) throw new Error(`no labels: ${text}`);
    labels[name] = value;
    rest = rest.slice(whole.length);
  }
  return labels;
}

function key(name: string, labels: Readonly<Record<string, string>>): string {
  const parts = Object.keys(labels)
    .toSorted()
    .map((label) => `${label}="${labels[label]}"`);
  return `${name}{${parts.join(',')}}`;
}

export async function scrape(url: string): Promise<Scrape> {
  const response = await fetch(url);
  if (response.status !== 200) throw new Error(`status ${response.status}`);
  return new Scrape(await response.text());
}
