// Arithmetic, exact where a double is: + − × ÷, powers, parentheses. No code is ever evaluated.

import { z } from 'zod';
import { defineTool } from './tool.ts';

const EXPRESSION_CHARS_MAX = 1_000;
const DEPTH_MAX = 100;

export const CALCULATOR = defineTool({
  name: 'calculator',
  description: 'Works out an arithmetic expression of numbers, + - * / ^ and parentheses, such as (1 + 2) * 3 ^ 2.',
  args: z.strictObject({ expression: z.string().min(1).max(EXPRESSION_CHARS_MAX) }),
  timeoutMs: 1_000,
  readOnly: true,
  run: async ({ expression }) => {
    const result = calculate(expression);
    return typeof result === 'number' ? { text: String(result) } : result;
  },
});

/** The value, or what is wrong with the expression. */
export function calculate(expression: string): number | { readonly fault: string } {
  const parser = new Parser(expression);
  try {
    const value = parser.whole();
    return Number.isFinite(value) ? value : { fault: 'The result is not a finite number.' };
  } catch (error) {
    if (error instanceof BadExpression) return { fault: error.message };
    throw error;
  }
}

class BadExpression extends Error {}

/** sum := product (± product)*; product := power (×÷ power)*; power := unary (^ power)?; unary := −unary | number | (sum) */
class Parser {
  readonly #tokens: readonly string[];
  #at = 0;
  #depth = 0;

  constructor(expression: string) {
    this.#tokens = expression.match(/\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+|\S/g) ?? [];
  }

  whole(): number {
    const value = this.#sum();
    if (this.#at < this.#tokens.length) throw this.#unexpected();
    return value;
  }

  #sum(): number {
    let value = this.#product();
    for (;;) {
      if (this.#takes('+')) value += this.#product();
      else if (this.#takes('-')) value -= this.#product();
      else return value;
    }
  }

  #product(): number {
    let value = this.#unary();
    for (;;) {
      if (this.#takes('*')) value *= this.#unary();
      else if (this.#takes('/')) value /= this.#unary();
      else return value;
    }
  }

  /** −2^2 is −4, 2^−1 a half, 2^3^2 is 2^9. */
  #unary(): number {
    if (this.#depth >= DEPTH_MAX) throw new BadExpression('The expression is nested too deeply.');
    this.#depth += 1;
    const value = this.#takes('-') ? -this.#unary() : this.#takes('+') ? this.#unary() : this.#power();
    this.#depth -= 1;
    return value;
  }

  #power(): number {
    const base = this.#atom();
    return this.#takes('^') ? base ** this.#unary() : base;
  }

  #atom(): number {
    if (this.#takes('(')) {
      const value = this.#sum();
      if (!this.#takes(')')) throw this.#unexpected();
      return value;
    }
    const number = Number(this.#tokens[this.#at]);
    if (Number.isNaN(number)) throw this.#unexpected();
    this.#at += 1;
    return number;
  }

  #takes(token: string): boolean {
    if (this.#tokens[this.#at] !== token) return false;
    this.#at += 1;
    return true;
  }

  #unexpected(): BadExpression {
    const token = this.#tokens[this.#at];
    return new BadExpression(token === undefined ? 'The expression ends too early.' : `Unexpected ${token}.`);
  }
}
