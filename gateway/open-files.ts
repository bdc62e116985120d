// How many files and sockets this process may have open: a node that accepts connections up to that limit could no longer
// reach its own database.

import { readFileSync } from 'node:fs';
import { GATEWAY_LIMITS } from './limits.ts';

/** The soft limit, which Node raises to the hard one at its start; null where the system does not tell it (not Linux). */
export function openFilesMax(limitsFile = '/proc/self/limits'): number | null {
  try {
    const soft = /^Max open files\s+(\d+)/m.exec(readFileSync(limitsFile, 'utf8'))?.[1];
    return soft === undefined ? null : Number(soft);
  } catch {
    return null;
  }
}

/** How many sessions, and connections that are none, fit beside the node's own files. */
export function connectionRoom(
  sessionsMax: number,
  openFiles: number | null,
): { readonly sessionsMax: number; readonly unfinishedMax: number } {
  const files = openFiles ?? Number.POSITIVE_INFINITY;
  const unfinishedMax = Math.min(GATEWAY_LIMITS.unfinishedMax, Math.floor(files / 4));
  const left = files - unfinishedMax - GATEWAY_LIMITS.ownFiles;
  return { sessionsMax: Math.max(1, Math.min(sessionsMax, left)), unfinishedMax };
}
