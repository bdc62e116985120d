// The tool calls of one answer, put together from their fragments. Servers disagree on how those hang together: OpenAI
// gives an index in each and the id in the first; vLLM sends null ids after the first; Ollama sends whole calls, older
// versions all under index 0; some leave the index out.

import { asCount, asString, isObject, type JsonObject } from './json.ts';

/** Far more than any model asks for at once; what comes beyond is only counted. */
const CALLS_MAX = 128;

/** One call as far as it has come; `args` is raw, in the pieces that came since somebody took them. */
export type CallSoFar = { readonly index: number | null; readonly id: string | null; name: string; args: string };

export class CallFragments {
  readonly #calls: CallSoFar[] = [];
  /** Of names and arguments: output that was generated, too. */
  chars = 0;

  /** Takes `delta.tool_calls` or a single call, whatever it is. */
  add(fragments: unknown): void {
    for (const fragment of Array.isArray(fragments) ? (fragments as readonly unknown[]) : [fragments]) {
      if (isObject(fragment)) this.#take(fragment);
    }
  }

  /** In the order in which they began. */
  get calls(): readonly CallSoFar[] {
    return this.#calls;
  }

  #take(fragment: JsonObject): void {
    // The legacy `function_call` has the name and the arguments at its top.
    const called = isObject(fragment['function']) ? fragment['function'] : fragment;
    const name = asString(called['name']) ?? '';
    const args = argumentsOf(called['arguments']);
    this.chars += name.length + args.length;
    const index = asCount(fragment['index']);
    const id = asString(fragment['id']) || null;
    const call = this.#continued(index, id, name);
    if (call !== null) {
      call.name ||= name;
      call.args += args;
    } else if (this.#calls.length < CALLS_MAX) {
      this.#calls.push({ index, id, name, args });
    }
  }

  /** The call that a fragment goes on with; null when it begins one. */
  #continued(index: number | null, id: string | null, name: string): CallSoFar | null {
    const call = this.#calls.findLast((before) => index === null || before.index === index);
    if (call === undefined) return null;
    if (id !== null && call.id !== null) return id === call.id ? call : null;
    // Without ids a name tells that another call begins, unless it is only said again under its index.
    const isSaidAgain = index !== null && name === call.name;
    return name !== '' && call.name !== '' && !isSaidAgain ? null : call;
  }
}

/** A few servers send what the arguments mean instead of the text of them. */
function argumentsOf(args: unknown): string {
  return isObject(args) ? JSON.stringify(args) : (asString(args) ?? '');
}
