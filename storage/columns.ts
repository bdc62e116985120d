// Columns of rows to be written: gathered row by row, handed to Postgres as one array each.

import { assert } from '../protocol/assert.ts';
import { arrayLiteral, byteaLiteral, timeLiteral } from './array-literal.ts';
import type { Statement } from './connection.ts';

/** Column → its type in Postgres. `timestamptz` takes Unix milliseconds, `bytea` bytes. */
type ColumnTypes = Readonly<Record<string, string>>;
type Cell = string | number | bigint | boolean | Uint8Array | null;

/** The rows that one statement of a batch writes, as parallel arrays. */
export class Columns<Types extends ColumnTypes> {
  readonly #types: Types;
  readonly #rows: Readonly<Record<keyof Types, Cell>>[] = [];

  constructor(types: Types) {
    this.#types = types;
  }

  get empty(): boolean {
    return this.#rows.length === 0;
  }

  add(row: Readonly<Record<keyof Types, Cell>>): void {
    this.#rows.push(row);
  }

  /** `unnest($1::uuid[], …) as name (column, …)`: parameters are numbered from 1. */
  static source(name: string, types: ColumnTypes): string {
    const columns = Object.entries(types);
    const arrays = columns.map(([, type], index) => `$${index + 1}::${type}[]`);
    return `unnest(${arrays.join(', ')}) with ordinality as ${name} (${columns.map(([column]) => column).join(', ')}, ordinal)`;
  }

  statement(text: string): Statement {
    return {
      text,
      values: Object.entries(this.#types).map(([column, type]) => this.#literal(column, type)),
    };
  }

  #literal(column: string, type: string): string {
    const cells = this.#rows.map((row) => row[column] ?? null);
    if (type === 'bytea') return byteaLiteral(cells.map(bytesOrNull));
    if (type === 'timestamptz') return timeLiteral(cells.map(numberOrNull));
    return arrayLiteral(cells.map(scalar));
  }
}

function bytesOrNull(cell: Cell): Uint8Array | null {
  assert(cell === null || cell instanceof Uint8Array, 'a bytea column takes bytes');
  return cell;
}

function numberOrNull(cell: Cell): number | null {
  assert(cell === null || typeof cell === 'number', 'a time column takes Unix milliseconds');
  return cell;
}

function scalar(cell: Cell): string | number | bigint | boolean | null {
  assert(!(cell instanceof Uint8Array), 'bytes go into a bytea column');
  return cell;
}
