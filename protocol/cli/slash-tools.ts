// The commands about what the model has asked for, and about the turn that runs.

/** `place`: of the call in its step, from 1; null: the only one that waits. */
export type ToolInput =
  | { readonly kind: 'approve'; readonly place: number | null; readonly always: boolean }
  | { readonly kind: 'deny'; readonly place: number | null }
  | { readonly kind: 'steer'; readonly text: string };

export const TOOL_HELP: readonly string[] = [
  '/approve [n]       let the call run that asks for it; with “always”: and every later one of its tool in this chat',
  '/deny [n]          do not; or leave a question of the model’s unanswered',
  '/steer <text>      tell the turn that runs: the model reads it at its next step',
];

/** Null when there is no such command; a string says what is wrong with it. */
export function parseTool(name: string, rest: string): ToolInput | string | null {
  switch (name) {
    case 'approve': {
      const [, place, always] = /^(\d{1,3})?(?:^|\s+|$)(always)?$/.exec(rest) ?? [null];
      if (rest !== '' && place === undefined && always === undefined) return APPROVE_USAGE;
      return { kind: 'approve', place: place === undefined ? null : Number(place), always: always !== undefined };
    }
    case 'deny':
      if (!/^\d{0,3}$/.test(rest)) return 'Say /deny, or /deny 2.';
      return { kind: 'deny', place: rest === '' ? null : Number(rest) };
    case 'steer':
      return rest === '' ? 'Say what: /steer in French, please.' : { kind: 'steer', text: rest };
    default:
      return null;
  }
}

const APPROVE_USAGE = 'Say /approve, /approve 2, or /approve 2 always.';
